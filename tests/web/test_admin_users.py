"""An administrator's deeds: users, and what the lists of the admin area show."""

from __future__ import annotations

import threading

import pytest

from registry_ui.models import AuditEntry, Namespace, User
from tests.support.html import Page
from tests.web.support import PASSWORD, event_of

USERS = "/-/admin/users"


@pytest.fixture
def admin(site):
    site.user("admin", admin=True)
    site.user("alice")
    return site.browser("admin")


def test_a_user_is_created_with_a_namespace_of_their_own(site, admin):
    answer = admin.post(USERS, {"username": "carol", "password": "long enough"})
    assert answer.status_code == 302
    carol = site.row(User, username="carol")
    assert not carol.is_admin
    assert site.row(Namespace, path="carol").owner_id == carol.id
    assert site.browser().sign_in("carol", "long enough").status_code == 302
    assert ("admin", "user.create", "carol") in site.audit()
    assert "long enough" not in str(site.dump())


@pytest.mark.parametrize(("value", "is_admin"), [("1", True), ("", False), ("0", False)])
def test_an_administrator_is_made_by_the_checkbox_alone(site, admin, value, is_admin):
    data = {"username": "carol", "password": "long enough", "is_admin": value}
    assert admin.post(USERS, data).status_code == 302
    assert site.row(User, username="carol").is_admin is is_admin


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [
        ("", PASSWORD, 422),
        ("Carol", PASSWORD, 422),
        ("a/b", PASSWORD, 422),
        ("a b", PASSWORD, 422),
        ("carol..x", PASSWORD, 422),
        ("library", PASSWORD, 422),
        ("localhost", PASSWORD, 422),
        ("-/registry_ui", PASSWORD, 422),
        ("api", PASSWORD, 422),
        ("x" * 101, PASSWORD, 422),
        ("carol", "short", 422),
        ("carol", "", 422),
        ("carol", "x" * 1025, 422),
        ("alice", PASSWORD, 409),
        ("group", PASSWORD, 409),
    ],
)
def test_a_user_that_can_not_be_is_not_half_created(site, admin, username, password, status):
    site.namespace("group")
    before = site.dump()
    answer = admin.post(USERS, {"username": username, "password": password})
    assert answer.status_code == status
    assert site.dump() == before


DEEDS = {
    "block": {"is_blocked": True},
    "unblock": {"is_blocked": False},
    "promote": {"is_admin": True},
    "demote": {"is_admin": False},
    "tokens_only": {"tokens_only": True},
    "passwords": {"tokens_only": False},
}


@pytest.mark.parametrize("action", DEEDS)
def test_each_deed_does_what_it_says_and_is_noted(site, admin, action):
    (field, value), *_ = DEEDS[action].items()
    site.change(User, {field: not value}, username="alice")
    assert admin.post(f"{USERS}/alice", {"action": action}).status_code == 302
    assert getattr(site.row(User, username="alice"), field) is value
    assert ("admin", f"user.{action}", "alice") in site.audit()


@pytest.mark.parametrize("action", ["", "delete", "Block", "__class__"])
def test_another_deed_there_is_not(site, admin, action):
    before = site.dump()
    assert admin.post(f"{USERS}/alice", {"action": action}).status_code == 422
    assert site.dump() == before


@pytest.mark.parametrize("action", DEEDS)
def test_a_user_that_is_not_there_is_not_found(admin, action):
    assert admin.post(f"{USERS}/nobody", {"action": action}).status_code == 404


@pytest.mark.parametrize("action", ["block", "demote"])
def test_the_last_administrator_stays(site, admin, action):
    before = site.dump()
    answer = admin.post(f"{USERS}/admin", {"action": action})
    assert answer.status_code == 409
    assert site.dump() == before


def test_a_blocked_administrator_does_not_count_as_the_last(site, admin):
    site.user("boss", admin=True)
    site.change(User, {"is_blocked": True}, username="boss")
    assert admin.post(f"{USERS}/admin", {"action": "demote"}).status_code == 409


@pytest.mark.both_databases
def test_two_administrators_who_demote_each_other_at_once_leave_one(site):
    site.user("one", admin=True)
    site.user("two", admin=True)
    for _ in range(5):
        site.change(User, {"is_admin": True})
        start, statuses = threading.Barrier(2), []

        def demote(who, other, start=start, statuses=statuses):
            browser = site.browser(who)
            browser.csrf()
            start.wait(60)
            statuses.append(browser.post(f"{USERS}/{other}", {"action": "demote"}).status_code)

        pairs = [("one", "two"), ("two", "one")]
        threads = [threading.Thread(target=demote, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(site.rows(User, is_admin=True)) == 1, statuses


def test_the_list_finds_users_by_a_part_of_their_name(site, admin):
    site.users("bob", "bobby", "ca_rol")
    names = ("alice", "bob", "bobby", "ca_rol")

    def listed(q):
        text = admin.get(USERS, query_string={"q": q}).text
        return [name for name in names if f"/-/admin/users/{name}" in text]

    assert listed("") == list(names)
    assert listed("bob") == ["bob", "bobby"]
    assert listed("BOB") == ["bob", "bobby"]
    assert listed("_") == ["ca_rol"]
    assert listed("%") == []
    assert listed("nothing") == []


def test_long_lists_are_paged(site, admin):
    with site.session() as session:
        session.add_all(
            AuditEntry(actor="x", action=f"deed{n:03}", subject="s") for n in range(120)
        )
        session.commit()
    pages = [admin.get(f"/-/admin/audit?page={n}").text for n in (1, 2, 3)]
    found = [{n for n in range(120) if f"deed{n:03}" in page} for page in pages]
    assert set().union(*found) == set(range(120))
    assert sum(map(len, found)) == 120
    assert 119 in found[0]


def test_unassigned_repositories_are_listed_with_who_pushed(site, admin):
    site.deliver(event_of("push", "nobodys/thing", "v1", by="somebody"))
    text = admin.get("/-/admin/unassigned").text
    assert "nobodys/thing" in text
    assert "somebody" in text


@pytest.mark.parametrize("status", ["", "applied", "pending", "dropped", "rejected", "nonsense"])
def test_events_are_listed_by_their_status(site, admin, status):
    site.project("acme/app")
    site.deliver(
        event_of("push", "acme/app/applied", "v1"),
        event_of("push", "acme/app/dropped", type="application/octet-stream"),
        event_of("explode", "acme/app/rejected"),
    )
    text = admin.get(f"/-/admin/events?status={status}").text
    every = {"applied", "dropped", "rejected"}
    wanted = {status} & every if status in {*every, "pending"} else every
    assert {name for name in every if f"acme/app/{name}" in text} == wanted


def test_hostile_text_of_events_is_shown_as_text(site, admin):
    event = event_of("push", "x/y", "v1", by="<script>alert(1)</script>")
    site.deliver(event)
    for page in ("events", "unassigned"):
        text = admin.get(f"/-/admin/{page}").text
        assert "<script>alert(1)" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_the_overview_tells_what_does_not_work(admin):
    text = admin.get("/-/admin").text
    assert "no connection" in text
    assert "has never run" in text


def test_the_overview_warns_of_missing_events_once_there_are_images(site, admin):
    page = Page(admin.get("/-/admin").text).text
    assert "No event yet. The first push shows" in page
    assert "No event has arrived" not in page
    site.project("acme/app")
    site.image("acme/app/web", "v1")
    page = Page(admin.get("/-/admin").text).text
    assert "No event has arrived. Check the registry's notifications" in page


def test_a_user_name_may_hold_dots_and_the_page_says_what_images_are_called(site, admin):
    answer = admin.post(USERS, {"username": "jane.doe", "password": PASSWORD})
    assert answer.status_code == 302
    host = site.app.config["SETTINGS"].registry_host
    assert f"Their images are called {host}/jane.doe/" in admin.get(USERS).text
    assert site.row(Namespace, path="jane.doe").is_personal
    assert site.granted("repository:jane.doe/app:pull,push", auth=("jane.doe", PASSWORD)) == {}
    site.project("jane.doe/app")
    scope = "repository:jane.doe/app:pull,push"
    assert site.granted(scope, auth=("jane.doe", PASSWORD)) == {"jane.doe/app": "pull,push"}


@pytest.mark.parametrize(
    ("given", "suggestion"),
    [
        ("Jane.Doe", "jane.doe"),
        ("jane.doe@corp.example", "jane.doe"),
        ("Jane Doe", "jane-doe"),
        ("CORP\\jdoe", "corp-jdoe"),
        ("jörg", "jorg"),
        ("_svc-build__", "svc-build"),
        ("a..b", "a-b"),
        ("team/jane", "team-jane"),
    ],
)
def test_a_user_name_that_cant_be_used_comes_with_one_that_can(site, admin, given, suggestion):
    answer = admin.post(USERS, {"username": given, "password": PASSWORD})
    assert answer.status_code == 422
    assert f"“{suggestion}” can be used." in answer.text
    assert admin.post(USERS, {"username": suggestion, "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize("given", ["", "@", "…", "api", "library", "\N{SNOWMAN}"])
def test_nothing_is_suggested_if_nothing_is_left_of_a_name(site, admin, given):
    answer = admin.post(USERS, {"username": given, "password": PASSWORD})
    assert answer.status_code == 422
    assert "can be used." not in answer.text
