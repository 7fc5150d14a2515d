"""Changing a place, its members, and removing an empty namespace."""

from __future__ import annotations

import pytest

from registry_ui.models import AuditEntry, Membership, Namespace, Place, Project, User
from tests.web.support import PASSWORD

ROLES = ["guest", "reporter", "developer", "maintainer", "owner"]


@pytest.fixture
def acme(site):
    """alice owns acme with the project acme/app; bob is nobody there yet."""
    site.users("alice", "bob")
    site.project("acme/app")
    site.member("acme", "alice", "owner")
    return site


def role_of(site, username, path):
    user, place = site.row(User, username=username), site.row(Place, path=path)
    rows = site.rows(Membership, user_id=user.id, place_id=place.id)
    return rows[0].role if rows else None


# -- settings ------------------------------------------------------------------------------


def test_description_and_visibility_are_changed_and_the_change_is_noted(acme):
    answer = acme.browser("alice").post(
        "/acme/app/-/settings", {"description": " Our app ", "visibility": "public"}
    )
    assert answer.status_code == 302
    project = acme.row(Project)
    assert (project.description, project.visibility) == ("Our app", "public")
    entry = acme.rows(AuditEntry)[-1]
    assert (entry.actor, entry.action, entry.subject) == ("alice", "project.settings", "acme/app")
    assert entry.detail["visibility"] == ["private", "public"]


def test_what_is_saved_as_it_was_is_not_noted(acme):
    before = acme.audit()
    data = {"description": "", "visibility": "private"}
    assert acme.browser("alice").post("/acme/app/-/settings", data).status_code == 302
    assert acme.audit() == before


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "wrong", [{"visibility": "secret"}, {"visibility": ""}, {"description": "x" * 2001}], ids=str
)
def test_settings_that_can_not_be_used_change_nothing(acme, wrong):
    before = acme.dump()
    data = {"description": "New words", "visibility": "public", **wrong}
    answer = acme.browser("alice").post("/acme/app/-/settings", data)
    assert answer.status_code == 422
    assert acme.dump() == before
    if "description" not in wrong:
        assert "New words" in answer.text


def test_a_namespace_has_no_visibility(acme):
    data = {"description": "Group", "visibility": "public"}
    assert acme.browser("alice").post("/acme/-/settings", data).status_code == 302
    namespace = acme.row(Namespace, path="acme")
    assert (namespace.description, namespace.visibility) == ("Group", None)


def test_nothing_else_of_a_place_can_be_set_by_its_form(acme):
    data = {"description": "x", "visibility": "private", "path": "evil", "kind": "namespace"}
    data |= {"owner_id": "1", "parent_id": "", "id": "99"}
    before = acme.row(Project)
    acme.browser("alice").post("/acme/app/-/settings", data)
    after = acme.row(Project)
    assert (after.id, after.path, after.parent_id) == (before.id, before.path, before.parent_id)


# -- members -------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_an_owner_adds_a_member_with_any_role(acme, role):
    answer = acme.browser("alice").post("/acme/app/-/members", {"username": " Bob ", "role": role})
    assert answer.status_code == 302
    assert role_of(acme, "bob", "acme/app") == 10 + 10 * ROLES.index(role)
    entry = acme.rows(AuditEntry)[-1]
    assert (entry.action, entry.subject) == ("member.add", "acme/app")
    assert entry.detail == {"user": "bob", "role": role.capitalize()}


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("username", "role", "status"),
    [
        ("nobody", "guest", 422),
        ("", "guest", 422),
        ("bob", "", 422),
        ("bob", "king", 422),
        ("bob", "50", 422),
        ("<b>bob", "guest", 422),
        ("alice", "guest", 409),
    ],
)
def test_a_member_that_can_not_be_added_is_not(acme, username, role, status):
    before = acme.dump()
    answer = acme.browser("alice").post("/acme/-/members", {"username": username, "role": role})
    assert answer.status_code == status
    assert "<b>bob" not in answer.text
    assert acme.dump() == before


def test_an_owners_role_above_does_not_stand_in_the_way_of_a_role_below(acme):
    answer = acme.browser("alice").post(
        "/acme/app/-/members", {"username": "alice", "role": "guest"}
    )
    assert answer.status_code == 302
    assert acme.granted("repository:acme/app:*", auth=("alice", PASSWORD)) == {
        "acme/app": "pull,push,delete"
    }


def test_the_list_says_where_a_role_comes_from(acme):
    acme.member("acme/app", "bob", "reporter")
    text = acme.browser("bob").get("/acme/app/-/members").text
    assert "alice" in text
    assert "bob" in text
    assert 'href="/acme/-/members"' in text or ">acme<" in text


@pytest.mark.both_databases
def test_a_members_role_is_changed_and_taken_away(acme):
    acme.member("acme/app", "bob", "guest")
    alice, url = acme.browser("alice"), "/acme/app/-/members/bob"
    assert alice.post(url, {"role": "maintainer"}).status_code == 302
    assert role_of(acme, "bob", "acme/app") == 40
    assert acme.rows(AuditEntry)[-1].detail == {"user": "bob", "role": ["Guest", "Maintainer"]}
    assert alice.post(url, {"remove": "1"}).status_code == 302
    assert role_of(acme, "bob", "acme/app") is None
    assert acme.rows(AuditEntry)[-1].action == "member.remove"
    assert acme.browser("bob").get("/acme/app").status_code == 404


@pytest.mark.parametrize("data", [{}, {"role": ""}, {"role": "king"}, {"remove": ""}], ids=str)
def test_a_change_that_says_nothing_usable_changes_nothing(acme, data):
    acme.member("acme/app", "bob", "guest")
    before = acme.dump()
    answer = acme.browser("alice").post("/acme/app/-/members/bob", data)
    assert answer.status_code == 422
    assert acme.dump() == before


@pytest.mark.parametrize("who", ["bob", "nobody", "alice"])
def test_only_direct_members_are_changed(acme, who):
    before = acme.dump()
    for data in ({"role": "guest"}, {"remove": "1"}):
        answer = acme.browser("alice").post(f"/acme/app/-/members/{who}", data)
        assert answer.status_code == 404
    assert acme.dump() == before


def test_who_takes_their_own_role_away_is_shown_a_page_they_may_see(acme):
    acme.member("acme", "bob", "owner")
    browser = acme.browser("alice")
    answer = browser.post("/acme/-/members/alice", {"remove": "1"})
    assert answer.headers["Location"] == "/"
    assert browser.get("/acme").status_code == 404


def test_who_leaves_a_public_project_is_shown_the_project(acme):
    acme.project("acme/open", "public")
    acme.member("acme/open", "bob", "owner")
    answer = acme.browser("bob").post("/acme/open/-/members/bob", {"remove": "1"})
    assert answer.headers["Location"] == "/acme/open"


# -- removing a namespace ----------------------------------------------------------------------


def test_an_empty_namespace_is_removed_when_its_path_is_typed(acme):
    acme.namespace("acme/empty")
    acme.member("acme/empty", "bob", "guest")
    browser = acme.browser("alice")
    assert browser.get("/acme/empty/-/delete").status_code == 200
    for confirm in ("", "acme", "acme/empty ", "ACME/EMPTY"):
        answer = browser.post("/acme/empty/-/delete", {"confirm": confirm})
        assert answer.status_code == 422, confirm
    assert acme.rows(Place, path="acme/empty")
    assert browser.post("/acme/empty/-/delete", {"confirm": "acme/empty"}).status_code == 302
    assert not acme.rows(Place, path="acme/empty")
    assert acme.audit()[-1] == ("alice", "namespace.delete.done", "acme/empty")
    assert browser.post("/-/new/namespace", {"parent": "acme", "name": "empty"}).status_code == 302
    assert acme.browser("bob").get("/acme/empty").status_code == 404


@pytest.mark.parametrize(("path", "who"), [("alice", "alice"), ("bob", "admin")])
def test_a_namespace_that_is_somebodys_own_is_not_removed(acme, path, who):
    acme.user("admin", admin=True)
    before = acme.dump()
    answer = acme.browser(who).post(f"/{path}/-/delete", {"confirm": path})
    assert answer.status_code == 409
    assert acme.dump() == before


def test_a_project_without_images_is_removed_with_the_registry_down(acme):
    """Nothing of it is in the registry, so there is nothing to ask for."""
    answer = acme.browser("alice").post("/acme/app/-/delete", {"confirm": "acme/app"})
    assert answer.status_code == 302
    assert "/-/removals/" in answer.headers["Location"]
    assert acme.rows(Project) == []
    assert acme.browser("alice").get(answer.headers["Location"]).status_code == 200


@pytest.mark.both_databases
def test_a_project_with_images_is_not_removed_with_the_registry_down(acme):
    acme.image("acme/app/web", "v1")
    before = acme.dump()
    answer = acme.browser("alice").post("/acme/app/-/delete", {"confirm": "acme/app"})
    assert answer.status_code == 502
    assert "Traceback" not in answer.text
    assert acme.dump() == before
