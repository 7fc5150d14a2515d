"""Unassigned repositories are adopted in bulk: planned, looked at, and created at once."""

from __future__ import annotations

import pytest

from registry_ui.adoption import service as adoption
from registry_ui.adoption.service import AdoptionRequest, adopt, plan_adoption
from registry_ui.db.session import db
from registry_ui.errors import Conflict, Invalid
from registry_ui.models import AuditEntry, Namespace, Place, Project
from tests.support.html import Page
from tests.support.unassigned import ADOPT, OLD, leave, paths, preview
from tests.web.support import ACTOR

URL = ADOPT


def planned(site, below="", parts=2):
    """The plan as {project: repositories}, its new namespaces, and {repository: reason}."""
    with site.app.app_context():
        plan = plan_adoption(db.session(), AdoptionRequest.parse(below, str(parts), "private"))
        projects = {project.path: project.repositories for project in plan.projects}
        conflicts = {conflict.repository: conflict.reason for conflict in plan.conflicts}
        return projects, plan.namespaces, conflicts


@pytest.mark.parametrize(
    ("below", "parts", "projects", "namespaces"),
    [
        (
            "",
            2,
            {
                "library/redis": ["library/redis"],
                "nginx": ["nginx"],
                "quay.io/org": ["quay.io/org/app"],
                "team/app": ["team/app", "team/app/web"],
                "team/db": ["team/db"],
            },
            ["library", "quay.io", "team"],
        ),
        ("team", 1, {"team": ["team/app", "team/app/web", "team/db"]}, []),
        ("team/", 2, {"team/app": ["team/app", "team/app/web"], "team/db": ["team/db"]}, ["team"]),
        ("team/app/*", 3, {"team/app": ["team/app", "team/app/web"]}, ["team"]),
        ("quay.io", 0, {"quay.io/org/app": ["quay.io/org/app"]}, ["quay.io", "quay.io/org"]),
        ("nginx", 0, {"nginx": ["nginx"]}, []),
        ("nothing", 2, {}, []),
    ],
)
def test_the_first_parts_of_a_name_are_the_project(
    populated_site, below, parts, projects, namespaces
):
    leave(populated_site, *OLD)
    assert planned(populated_site, below, parts) == (projects, namespaces, {})


def test_a_repository_with_the_name_of_its_project_takes_along_what_lies_below_it(populated_site):
    leave(populated_site, "team", "team-b/app", "team/app", "team/app/web")
    projects, namespaces, _ = planned(populated_site)
    assert projects == {
        "team": ["team", "team/app", "team/app/web"],
        "team-b/app": ["team-b/app"],
    }
    assert namespaces == ["team-b"]


CONFLICTS = {
    "acme": "“acme” is a namespace, so no project can have this path. Copy",
    "alice": "“alice” is the namespace of the user alice, so no project can have this path. Copy",
    "api": "“api” is reserved, so no project can have this path. Copy",
    "v2/app": "“v2” is reserved",
    "was/app": "A move uses this path",
    "soon/app/web": "A move uses this path",
}


def test_each_repository_that_no_project_can_own_is_named_with_the_reason(populated_site):
    populated_site.old_path("was/app", "acme/app", populated_site.move("acme/app"))
    populated_site.move("acme/app", "failed", target="soon/app", source="acme/gone")
    leave(populated_site, *CONFLICTS, "free/app")
    projects, _, conflicts = planned(populated_site)
    assert projects == {"free/app": ["free/app"]}
    assert conflicts.keys() == CONFLICTS.keys()
    for repository, reason in conflicts.items():
        assert CONFLICTS[repository] in reason
    page = Page(populated_site.browser("admin").get(URL).text)
    for repository, words in CONFLICTS.items():
        assert repository in page.text
        assert words in page.text
    copies = [a.attrs["href"] for a in page.all("a") if "unassigned/copy" in a.attrs["href"]]
    assert copies == [f"/-/admin/unassigned/copy/{r}" for r in sorted(CONFLICTS)]


def test_what_lies_in_an_existing_place_is_adopted_there(populated_site):
    leave(populated_site, "acme/other/x", "acme/app/late", "alice/tool")
    projects, namespaces, conflicts = planned(populated_site)
    assert projects == {
        "acme/app": ["acme/app/late"],
        "acme/other": ["acme/other/x"],
        "alice/tool": ["alice/tool"],
    }
    assert (namespaces, conflicts) == ([], {})
    page = Page(populated_site.browser("admin").get(URL).text)
    assert "acme/app exists 1 acme/app/late" in page.text
    assert "acme/other new 1 acme/other/x" in page.text


def test_a_confirmed_preview_makes_every_image_pullable_by_its_old_name(populated_site):
    leave(populated_site, *OLD)
    page, form = preview(populated_site, below="", parts="2", visibility="internal")
    assert "Adopt 6 repositories" in page.text
    assert "3 namespaces are created for them: library, quay.io, team." in page.text
    answer = populated_site.browser("admin").post(URL, form)
    assert answer.status_code == 302
    assert paths(populated_site, Project) - {"acme/app"} == {
        "library/redis",
        "nginx",
        "quay.io/org",
        "team/app",
        "team/db",
    }
    assert {p.visibility for p in populated_site.rows(Project) if p.path != "acme/app"} == {
        "internal"
    }
    parents = {place.id: place.path for place in populated_site.rows(Place)}
    for place in populated_site.rows(Place):
        above = place.path.rpartition("/")[0]
        assert parents.get(place.parent_id, "") == above
    alice = ("alice", "correct horse battery")
    for repository in OLD:
        scope = f"repository:{repository}:pull"
        assert populated_site.granted(scope, auth=alice) == {repository: "pull"}


def test_everything_is_in_the_audit(populated_site):
    leave(populated_site, *OLD, "api")
    _, form = preview(populated_site, parts="2")
    before = len(populated_site.audit())
    populated_site.browser("admin").post(URL, form)
    deeds = [(action, subject) for _, action, subject in populated_site.audit()[before:]]
    assert sorted(deeds) == sorted(
        [("namespace.create", path) for path in ("library", "quay.io", "team")]
        + [("member.add", path) for path in ("library", "nginx", "quay.io", "team")]
        + [
            ("project.create", path)
            for path in ("library/redis", "nginx", "quay.io/org", "team/app", "team/db")
        ]
        + [("registry.adopt", "*")]
    )
    (entry,) = populated_site.rows(AuditEntry, action="registry.adopt")
    assert entry.actor == "admin"
    assert entry.detail == {
        "repositories": 6,
        "projects": 5,
        "existing_projects": 0,
        "namespaces": 3,
        "conflicts": 1,
        "visibility": "private",
        "owner": "admin",
    }


@pytest.mark.parametrize("change", ["a repository more", "a project meanwhile", "another choice"])
def test_a_confirmation_is_good_for_what_was_shown_and_nothing_else(populated_site, change):
    leave(populated_site, *OLD)
    _, form = preview(populated_site, parts="2")
    if change == "a repository more":
        leave(populated_site, "team/more")
    elif change == "a project meanwhile":
        populated_site.project("team/app")
    else:
        form["parts"] = "1"
    before = paths(populated_site)
    answer = populated_site.browser("admin").post(URL, form)
    assert answer.status_code == 409
    assert "The registry has changed since the preview. Look again." in answer.text
    assert paths(populated_site) == before


def test_an_adoption_that_fails_changes_nothing(populated_site, monkeypatch):
    leave(populated_site, *OLD)
    before = populated_site.dump()

    def fail(*_args, **_more):
        raise RuntimeError("the last entry can't be written")

    with populated_site.app.app_context():
        request = AdoptionRequest()
        digest = plan_adoption(db.session(), request).digest
        monkeypatch.setattr(adoption, "record", fail)
        with pytest.raises(RuntimeError):
            adopt(ACTOR, request, digest)
    assert populated_site.dump() == before


def test_two_who_confirm_the_same_preview_adopt_once(populated_site):
    leave(populated_site, *OLD)
    _, form = preview(populated_site, parts="2")
    first, second = populated_site.browser("admin"), populated_site.browser("admin")
    assert first.post(URL, form).status_code == 302
    assert second.post(URL, form).status_code == 409
    assert len(populated_site.rows(AuditEntry, action="registry.adopt")) == 1


def test_nothing_to_adopt_is_said(populated_site):
    page, form = preview(populated_site, below="nothing")
    assert "No unassigned repository lies there." in page.text
    assert form == {}
    with populated_site.app.app_context():
        digest = plan_adoption(db.session(), AdoptionRequest()).digest
        with pytest.raises(Conflict, match="Nothing can be adopted"):
            adopt(ACTOR, AdoptionRequest(), digest)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"below": "Team"}, "lower-case letters"),
        ({"below": "a//b"}, "lower-case letters"),
        ({"below": "*/app"}, "lower-case letters"),
        ({"parts": "11"}, "Choose a number of parts from 1 to 10"),
        ({"parts": "-1"}, "Choose a number of parts"),
        ({"parts": "two"}, "Choose a number of parts"),
        ({"parts": ""}, "Choose a number of parts"),
        ({"visibility": "secret"}, "Choose one of"),
    ],
)
def test_what_cant_be_asked_for_is_said_at_its_field(populated_site, values, words):
    answer = populated_site.browser("admin").get(URL, query_string=values)
    assert answer.status_code == 422
    assert words in answer.text
    with pytest.raises(Invalid):
        AdoptionRequest.parse(**{"below": "", "parts": "2", "visibility": "private", **values})


@pytest.mark.parametrize("who", ["alice", None])
def test_for_others_than_administrators_it_is_not_there(populated_site, who):
    leave(populated_site, *OLD)
    before = populated_site.dump()
    browser = populated_site.browser(who)
    other = browser.get("/-/admin/unassigned").status_code
    assert browser.get(URL).status_code == other == (404 if who else 302)
    assert browser.post(URL, {"parts": "2"}).status_code == other
    assert populated_site.dump() == before


def test_of_thousands_the_first_are_shown_and_all_are_adopted(populated_site):
    leave(populated_site, *(f"team{n % 40}/app{n}" for n in range(3000)))
    page, form = preview(populated_site, parts="2")
    assert "Adopt 3,000 repositories" in page.text
    assert "These are the first 200 of 3,000. All are created." in page.text
    with populated_site.statements() as few:
        planned(populated_site)
    assert len(few) == 3
    assert populated_site.browser("admin").post(URL, form).status_code == 302
    assert len(populated_site.rows(Project)) == 3001
    assert len([n for n in populated_site.rows(Namespace) if n.path.startswith("team")]) == 40


# -- the list ---------------------------------------------------------------------


def test_the_list_is_searched_and_paged(populated_site):
    leave(populated_site, *(f"team/app{n:04}" for n in range(2000)), "other/thing")
    admin = populated_site.browser("admin")
    page = Page(admin.get("/-/admin/unassigned?q=APP0&page=2").text)
    assert "Page 2 of 20, 1,000 repositories" in page.text
    assert "team/app0050" in page.text
    assert "team/app1000" not in page.text
    page = Page(admin.get("/-/admin/unassigned?q=thing").text)
    assert "other/thing" in page.text
    assert "1 repository" in page.text
    links = [a.attrs["href"] for a in page.all("a")]
    assert f"{URL}?below=thing" in links
    page = Page(admin.get("/-/admin/unassigned?q=%25").text)
    assert "No unassigned repository matches “%”." in page.text
