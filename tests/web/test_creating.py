"""Creating namespaces and projects: names, places, rights, races."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from registry_ui.db.session import db
from registry_ui.models import Membership, Namespace, Place, Project
from registry_ui.names import RESERVED_FIRST_SEGMENTS, RESTRICTED_FIRST_SEGMENTS
from tests.support.html import Page

KINDS = ("namespace", "project")


@pytest.fixture
def acme(site):
    """alice owns the group acme; in veiled is what she may not see."""
    site.users("alice", "bob")
    site.namespace("acme")
    site.member("acme", "alice", "owner")
    site.project("veiled/secret")
    return site


def create(site, kind, name, parent="", who="alice", **more):
    data = {"parent": parent, "name": name, "description": "", "visibility": "private", **more}
    return site.browser(who).post(f"/-/new/{kind}", data)


def paths(site):
    return {place.path for place in site.rows(Place)} - {"alice", "bob", "veiled", "veiled/secret"}


@pytest.mark.parametrize("kind", ["namespace", "project"])
def test_a_name_that_cannot_be_used_is_answered_with_one_that_can(site, kind):
    site.user("root", admin=True)
    answer = site.browser("root").post(f"/-/new/{kind}", {"parent": "", "name": "Jané Doe"})
    assert answer.status_code == 422
    assert "“jane-doe” can be used." in Page(answer.text).text


def test_a_group_at_the_top_belongs_to_who_made_it(acme):
    answer = create(acme, "namespace", "tools", description="Ours")
    assert answer.headers["Location"] == "/tools"
    place = acme.row(Namespace, path="tools")
    assert (place.description, place.parent_id) == ("Ours", None)
    assert acme.row(Membership, place_id=place.id).role == 50
    assert acme.browser("alice").get("/tools/-/settings").status_code == 200
    assert acme.browser("bob").get("/tools").status_code == 404
    assert ("alice", "namespace.create", "tools") in acme.audit()


def test_namespaces_and_projects_are_made_below_namespaces_at_any_depth(acme):
    assert create(acme, "namespace", "a", "acme").headers["Location"] == "/acme/a"
    assert create(acme, "namespace", "b", "acme/a").headers["Location"] == "/acme/a/b"
    answer = create(acme, "project", "app", "acme/a/b", visibility="internal", description="App")
    assert answer.headers["Location"] == "/acme/a/b/app"
    project = acme.row(Project, path="acme/a/b/app")
    assert (project.visibility, project.description) == ("internal", "App")
    assert project.parent_id == acme.row(Place, path="acme/a/b").id
    assert ("alice", "project.create", "acme/a/b/app") in acme.audit()
    assert acme.rows(Membership, place_id=project.id) == []


def test_a_user_creates_in_their_own_namespace(acme):
    assert create(acme, "project", "tool", "alice").status_code == 302
    assert create(acme, "namespace", "group", "alice").status_code == 302
    assert {"alice/tool", "alice/group"} <= paths(acme)


WRONG = ["", "A", "Tools", "a b", "-a", "a-", "a..b", "a___b", ".a", "a/", "/a", "ä", "a\n", "a\0"]
WRONG += ["..", ".", "a:b", "a@b", "%2e", "a\\b", "x" * 256, "-", "a?b", "a#b", "<b>"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parent", ["", "acme"])
def test_a_name_outside_the_grammar_is_refused_beside_its_field(acme, kind, parent):
    before = acme.dump()
    for name in WRONG:
        if name.strip() == "a":
            continue  # blanks around a name are not part of it
        answer = create(acme, kind, name, parent)
        assert answer.status_code == 422, name
    assert acme.dump() == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_typed_is_shown_again_escaped(acme, kind):
    answer = create(acme, kind, "Bad <i>", "acme", description="Words & more")
    assert "Bad &lt;i&gt;" in answer.text
    assert "Words &amp; more" in answer.text
    assert "<i>" not in answer.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("acme/inside", ""),
        ("veiled/evil", ""),
        ("veiled/secret/evil", ""),
        ("x/y", "acme"),
        ("bob/evil", ""),
        ("nowhere/evil", ""),
    ],
)
def test_a_name_is_one_segment_and_so_leads_nowhere_else(acme, kind, name, parent):
    before = acme.dump()
    answer = create(acme, kind, name, parent, who="bob" if name.startswith("acme") else "alice")
    assert answer.status_code == 422
    assert acme.dump() == before


@pytest.mark.parametrize("name", sorted(RESERVED_FIRST_SEGMENTS))
def test_a_reserved_name_can_not_be_had_at_the_top_but_below(acme, name):
    answer = create(acme, "namespace", name)
    assert answer.status_code == 422
    assert "is reserved" in answer.text
    assert create(acme, "namespace", name, "acme").status_code == 302


RESTRICTED = ["my.group", "quay.io", "docker.io", "127.0.0.1", *sorted(RESTRICTED_FIRST_SEGMENTS)]


@pytest.mark.parametrize("name", RESTRICTED)
def test_what_docker_reads_as_a_host_is_for_administrators_and_below_for_everyone(acme, name):
    answer = create(acme, "namespace", name)
    assert answer.status_code == 422
    assert f"Only administrators create “{name}”" in answer.text
    assert name not in paths(acme)
    assert create(acme, "namespace", name, "acme").status_code == 302
    acme.user("root", admin=True)
    assert create(acme, "namespace", name, who="root").status_code == 302
    acme.member(name, "alice", "maintainer")
    assert create(acme, "project", "nginx", name).status_code == 302
    assert f"{name}/nginx" in paths(acme)


def test_a_restricted_name_that_is_taken_reads_like_one_that_is_free(acme):
    acme.user("root", admin=True)
    before = create(acme, "namespace", "quay.io").text
    create(acme, "namespace", "quay.io", who="root")
    after = create(acme, "namespace", "quay.io").text
    assert after.partition("csrf_token")[0] == before.partition("csrf_token")[0]
    assert "Only administrators create" in before
    assert "Only administrators create" in after


def test_an_administrator_creates_a_project_at_the_top(acme):
    acme.user("root", admin=True)
    page = acme.browser("root").get("/-/new/project?parent=&name=nginx").text
    assert '<option value="" selected>None: at the top</option>' in page
    assert "None: at the top" not in acme.browser("alice").get("/-/new/project").text
    assert create(acme, "project", "nginx", who="root").status_code == 302
    assert acme.row(Project, path="nginx").parent_id is None
    assert create(acme, "namespace", "inside", "nginx", who="root").status_code == 409


def test_a_project_lies_in_a_namespace(acme):
    answer = create(acme, "project", "app")
    assert answer.status_code == 422
    assert "A project lies in a namespace" in answer.text or "Choose the namespace" in answer.text
    assert "app" not in paths(acme)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("taken", KINDS)
def test_namespaces_and_projects_share_one_path_space(acme, kind, taken):
    assert create(acme, taken, "same", "acme").status_code == 302
    before = acme.dump()
    answer = create(acme, kind, "same", "acme")
    assert answer.status_code == 409
    assert "is taken" in answer.text
    assert acme.dump() == before


@pytest.mark.parametrize("name", ["alice", "bob", "veiled"])
def test_a_name_at_the_top_that_is_taken_by_anyone_is_taken(acme, name):
    assert create(acme, "namespace", name).status_code == 409


@pytest.mark.parametrize("kind", KINDS)
def test_below_a_project_there_are_images_and_nothing_else(acme, kind):
    create(acme, "project", "app", "acme")
    answer = create(acme, kind, "inside", "acme/app")
    assert answer.status_code == 409
    assert "acme/app/inside" not in paths(acme)


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_has_255_characters_at_most(acme, kind):
    room = 255 - len("acme/")
    assert create(acme, kind, "a" * (room + 1), "acme").status_code == 422
    assert create(acme, kind, "a" * room, "acme").status_code == 302


@pytest.mark.parametrize("kind", KINDS)
def test_a_parent_that_is_not_there_and_one_that_may_not_be_seen_are_told_the_same(acme, kind):
    answers = [create(acme, kind, "x", parent) for parent in ("veiled", "absent")]
    assert [answer.status_code for answer in answers] == [422, 422]
    texts = [answer.text.replace("veiled", "absent") for answer in answers]
    assert texts[0].partition("csrf_token")[0] == texts[1].partition("csrf_token")[0]
    words = "There is no namespace “absent”. Create it first."
    assert [text.count(words) for text in texts] == [1, 1]


@pytest.mark.parametrize("role", ["guest", "reporter", "developer", None])
@pytest.mark.parametrize("kind", KINDS)
def test_below_a_namespace_it_takes_a_maintainer(acme, kind, role):
    if role:
        acme.member("acme", "bob", role)
    before = acme.dump()
    answer = create(acme, kind, "x", "acme", who="bob")
    assert answer.status_code in {403, 422}
    assert acme.dump() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_maintainer_creates_and_gets_no_role_of_their_own_by_that(acme, kind):
    acme.member("acme", "bob", "maintainer")
    assert create(acme, kind, "x", "acme", who="bob").status_code == 302
    assert len(acme.rows(Membership)) == 2


def test_an_unknown_visibility_is_refused(acme):
    for visibility in ("", "secret", "PUBLIC"):
        assert create(acme, "project", "x", "acme", visibility=visibility).status_code == 422
    assert "acme/x" not in paths(acme)


def test_a_project_that_says_nothing_of_it_is_private(acme):
    browser = acme.browser("alice")
    assert browser.post("/-/new/project", {"parent": "acme", "name": "x"}).status_code == 302
    assert acme.row(Project, path="acme/x").visibility == "private"


def test_a_description_has_a_length_and_no_nul(acme):
    assert create(acme, "namespace", "a", "acme", description="x" * 2001).status_code == 422
    assert create(acme, "namespace", "a", "acme", description="x" * 2000).status_code == 302
    assert create(acme, "namespace", "b", "acme", description="x\0y").status_code == 302
    assert acme.row(Namespace, path="acme/b").description == "xy"


def test_the_form_offers_the_namespaces_where_one_may_create(acme):
    acme.namespace("acme/deep/er")
    acme.namespace("guests")
    acme.member("guests", "alice", "developer")
    text = acme.browser("alice").get("/-/new/project").text
    offered = {path: f'value="{path}"' in text for path in ("acme", "acme/deep/er", "alice")}
    assert all(offered.values()), offered
    assert 'value="guests"' not in text
    assert "veiled" not in text


# -- at once, and past the application -----------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize("kinds", [("namespace", "namespace"), ("project", "namespace")])
def test_of_two_who_create_the_same_path_at_once_exactly_one_wins(acme, kinds):
    for number in range(3):
        start, statuses = threading.Barrier(2), []

        def one(kind, name=f"same{number}", start=start, statuses=statuses):
            browser = acme.browser("alice")
            browser.csrf()
            start.wait(60)
            data = {"parent": "acme", "name": name}
            statuses.append(browser.post(f"/-/new/{kind}", data).status_code)

        threads = [threading.Thread(target=one, args=[kind]) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(statuses) == [302, 409]
        assert len(acme.rows(Place, path=f"acme/same{number}")) == 1


@pytest.mark.both_databases
def test_a_user_and_a_group_of_the_same_name_made_at_once_are_one(acme):
    acme.user("admin", admin=True)
    start, statuses = threading.Barrier(2), []

    def user():
        browser = acme.browser("admin")
        browser.csrf()
        start.wait(60)
        data = {"username": "same", "password": "long enough"}
        statuses.append(browser.post("/-/admin/users", data).status_code)

    def group():
        browser = acme.browser("alice")
        browser.csrf()
        start.wait(60)
        statuses.append(browser.post("/-/new/namespace", {"name": "same"}).status_code)

    threads = [threading.Thread(target=work) for work in (user, group)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [302, 409]
    assert len(acme.rows(Place, path="same")) == 1


INSERT = (
    "INSERT INTO places (kind, path, description, visibility, owner_id, created_at) "
    "VALUES (:kind, :path, '', :visibility, :owner, '2026-01-01 00:00:00')"
)


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "namespace", "path": "veiled"},
        {"kind": "project", "path": "veiled", "visibility": "public"},
        {"kind": "namespace", "path": "veiled/secret"},
        {"kind": "project", "path": "veiled/secret", "visibility": "private"},
        {"kind": "group", "path": "new"},
        {"kind": "project", "path": "new"},
        {"kind": "namespace", "path": "new", "visibility": "public"},
        {"kind": "project", "path": "new", "visibility": "open"},
        {"kind": "project", "path": "new", "visibility": "public", "owner": 1},
        {"kind": "namespace", "path": "new", "owner": 1},
        {"kind": "namespace", "path": "new", "owner": 999},
    ],
    ids=str,
)
def test_the_database_itself_keeps_the_path_space_whole(acme, row):
    values = {"visibility": None, "owner": None, **row}
    with acme.app.app_context(), pytest.raises(IntegrityError):
        db.session.execute(text(INSERT), values)
    with acme.app.app_context():
        db.session.execute(text(INSERT), {**values, "kind": "namespace", "path": "fine"} | FINE)


FINE = {"visibility": None, "owner": None}


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM places WHERE path = 'veiled'",
        "DELETE FROM users WHERE username = 'alice'",
        "UPDATE places SET path = 'acme' WHERE path = 'veiled'",
        "UPDATE places SET parent_id = 999 WHERE path = 'veiled/secret'",
        "UPDATE memberships SET role = 60",
        "INSERT INTO memberships SELECT 9, user_id, place_id, 10, created_at FROM memberships",
    ],
)
def test_the_database_itself_keeps_places_and_members_together(acme, sql):
    with acme.app.app_context(), pytest.raises(IntegrityError):
        db.session.execute(text(sql))


def test_paths_that_differ_in_case_or_in_their_end_are_compared_by_bytes(acme):
    """A range of paths must hold exactly what lies below: the order is that of bytes."""
    for path in ("acme/a", "acme/a-b", "acme/a.b", "acme/a0", "acme/a_b", "acme/b"):
        acme.namespace(path)
    acme.project("acme/a/x")
    with acme.session() as session:
        found = session.scalars(
            text("SELECT path FROM places WHERE path > 'acme/a/' AND path < 'acme/a0'")
        )
        assert list(found) == ["acme/a/x"]
