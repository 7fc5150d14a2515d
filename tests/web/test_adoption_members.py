"""Adopted projects have an Owner, and the report says who can see them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from registry_ui.models import AuditEntry, UnassignedRepository, User, utc_now
from tests.support.html import Page
from tests.support.unassigned import ADOPT, OLD, leave, owners, preview


def test_the_administrator_who_adopts_becomes_owner_unless_another_is_chosen(populated_site):
    leave(populated_site, *OLD)
    page, form = preview(populated_site, parts="2")
    assert "admin becomes Owner of library, nginx, quay.io, team, and of everything" in page.text
    assert form["owner"] == "admin"
    page, form = preview(populated_site, parts="2", owner="alice")
    assert populated_site.browser("admin").post(ADOPT, form).status_code == 302
    assert owners(populated_site) == dict.fromkeys(["library", "nginx", "quay.io", "team"], "alice")
    alice = ("alice", "correct horse battery")
    assert populated_site.granted("repository:team/app/web:push", auth=alice) == {
        "team/app/web": "push"
    }


@pytest.mark.both_databases
def test_projects_in_a_namespace_with_an_owner_inherit_its_members(populated_site):
    populated_site.user("boss")
    populated_site.member("acme", "boss", "owner")
    populated_site.namespace("empty")
    leave(populated_site, "acme/other", "alice/tool", "empty/app")
    page, form = preview(populated_site, parts="2")
    assert "admin becomes Owner of empty/app, and of everything below." in page.text
    populated_site.browser("admin").post(ADOPT, form)
    assert owners(populated_site) == {"acme": "boss", "empty/app": "admin"}


def test_without_an_owner_it_says_that_only_administrators_see_them(populated_site):
    leave(populated_site, "team/app")
    page, form = preview(populated_site, owner="")
    assert "No one becomes a member of team, and of everything below." in page.text
    assert "only administrators can see them" in page.text
    populated_site.browser("admin").post(ADOPT, form)
    assert owners(populated_site) == {}


@pytest.mark.parametrize(
    ("name", "words"), [("nobody", "does not exist"), ("mallory", "is blocked")]
)
def test_an_owner_who_cant_sign_in_is_refused(populated_site, name, words):
    populated_site.user("mallory")
    populated_site.change(User, {"is_blocked": True}, username="mallory")
    leave(populated_site, "team/app")
    before = populated_site.dump()
    browser = populated_site.browser("admin")
    answer = browser.get(ADOPT, query_string={"owner": name})
    assert answer.status_code == 422
    assert f"The user “{name}” {words}" in answer.text
    form = {"parts": "2", "visibility": "private", "owner": name, "digest": "0"}
    assert browser.post(ADOPT, form).status_code == 422
    assert populated_site.dump() == before


def forget(site, *paths):
    """Remove notes of repositories, as the worker does when it has read them."""
    with site.session() as session:
        which = UnassignedRepository.path.in_(paths)
        session.execute(delete(UnassignedRepository).where(which))
        session.commit()


@pytest.mark.parametrize(
    ("visibility", "words"),
    [
        ("private", "only their members and administrators can see and pull them"),
        ("internal", "anyone who is signed in can see and pull them"),
        ("public", "anyone can see and pull them, without signing in"),
    ],
)
def test_the_report_links_the_projects_and_says_who_can_see_them(populated_site, visibility, words):
    leave(populated_site, *OLD, "acme/app/late")
    _, form = preview(populated_site, parts="2", visibility=visibility)
    admin = populated_site.browser("admin")
    report = admin.post(ADOPT, form).headers["Location"]
    page = Page(admin.get(report).text)
    assert words in page.text
    assert "admin adopted 7 repositories in 6 projects" in page.text
    assert "admin is Owner of every new namespace and project that inherits none" in page.text
    links = {a.attrs["href"] for a in page.all("a")}
    for path in ("acme/app", "library/redis", "nginx", "quay.io/org", "team/app", "team/db"):
        assert {f"/{path}", f"/{path}/-/members"} <= links
    assert "still unassigned" not in page.text
    populated_site.image("team/app/web", "1")
    forget(populated_site, *OLD, "acme/app/late")
    rows = [row.text for row in Page(admin.get(report).text).all("tr")]
    assert f"team/app {visibility.title()} 1 1 of team/app" in rows
    assert "acme/app Private 0 none of acme/app" in rows


@pytest.mark.both_databases
def test_the_report_refreshes_until_the_worker_has_read_the_repositories(populated_site):
    leave(populated_site, *OLD, "api")  # no project can own the last one
    _, form = preview(populated_site, parts="2")
    admin = populated_site.browser("admin")
    report = admin.post(ADOPT, form).headers["Location"]

    def seen():
        page = Page(admin.get(report).text)
        (section,) = (part for part in page.all("section") if part.attrs.get("id") == "adopted")
        images = {row["Project"]: row["Images"] for row in page.table("Projects of this adoption")}
        return page.text, "hx-get" in section.attrs, images["team/app"]

    text, refreshes, images = seen()
    assert "Reading 6 repositories…" in text
    assert "1 repository is still unassigned: no project owns it." in text
    assert (refreshes, images) == (True, "reading…")
    populated_site.image("team/app/web", "1")
    forget(populated_site, "team/app/web")
    text, refreshes, images = seen()
    assert "Reading 5 repositories…" in text
    assert (refreshes, images) == (True, "1 so far")
    # A registry that is down keeps no page busy.
    ago = utc_now() - timedelta(hours=1)
    populated_site.change(AuditEntry, {"at": ago}, action="registry.adopt")
    text, refreshes, _ = seen()
    assert "5 repositories are not read yet" in text
    assert not refreshes
    forget(populated_site, *OLD)
    text, refreshes, images = seen()
    assert "All repositories of these projects are read." in text
    assert "1 repository is still unassigned" in text
    assert (refreshes, images) == (False, "1")


def test_a_report_takes_as_many_statements_for_many_projects_and_is_for_administrators(
    populated_site,
):
    counts = []
    for number in (2, 30):
        leave(populated_site, *(f"team{number}/app{n}" for n in range(number)))
        _, form = preview(populated_site, below=f"team{number}")
        browser = populated_site.browser("admin")
        report = browser.post(ADOPT, form).headers["Location"]
        with populated_site.statements() as statements:
            assert f"{number} projects" in browser.get(report).text
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert populated_site.browser("alice").get(report).status_code == 404
    other = populated_site.rows(AuditEntry, action="member.add")[0].id
    assert populated_site.browser("admin").get(f"{ADOPT}/{other}").status_code == 404
