"""Signing in and out by the pages, and when a session ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from registry_ui.accounts import authentication
from registry_ui.accounts.hashing import HashingProcess
from registry_ui.models import BrowserSession, User
from tests.web.support import PASSWORD

NEW = "another long password"


@pytest.fixture
def alice(site):
    site.users("alice", "bob")
    return site


def test_who_signs_in_is_signed_in_until_they_sign_out(alice):
    browser = alice.browser()
    assert not browser.is_signed_in()
    answer = browser.sign_in("alice")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert browser.is_signed_in()
    assert browser.post("/-/sign-out").status_code == 302
    assert not browser.is_signed_in()


def test_the_name_may_be_typed_with_capitals_and_blanks_around_it(alice):
    browser = alice.browser()
    browser.sign_in("  Alice ")
    assert "alice" in browser.get("/-/profile").text


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong password"),
        ("alice", ""),
        ("", ""),
        ("nobody", PASSWORD),
        ("bob ", PASSWORD + " "),
        ("alice", PASSWORD.upper()),
        ("alice", "x" * 100_000),
        ("a" * 10_000, PASSWORD),
    ],
)
def test_wrong_credentials_show_the_form_again_and_say_no_more(alice, username, password):
    browser = alice.browser()
    answer = browser.sign_in(username, password)
    assert answer.status_code == 401
    assert "The user name or the password is wrong." in answer.text
    assert password not in answer.text or len(password) < 2
    assert not browser.is_signed_in()


def test_an_unknown_user_costs_the_work_of_a_known_one(alice):
    hasher = HashingProcess
    for username in ("alice", "nobody"):
        with mock.patch.object(hasher, "verify", autospec=True, side_effect=hasher.verify) as work:
            alice.browser().sign_in(username, "wrong password")
        assert work.call_count == 1, username


def test_an_access_token_does_not_sign_a_browser_in(alice):
    token = alice.access_token("alice", "read_registry", "write_registry", "delete_registry")
    browser = alice.browser()
    assert browser.sign_in("alice", token).status_code == 401
    assert not browser.is_signed_in()


def test_a_blocked_user_is_told_what_anyone_with_a_wrong_password_is(alice):
    alice.change(User, {"is_blocked": True}, username="alice")
    answer = alice.browser().sign_in("alice")
    assert answer.status_code == 401
    assert "The user name or the password is wrong." in answer.text


def test_the_session_starts_anew_at_the_sign_in(alice):
    browser = alice.browser()
    with browser.client.session_transaction() as session:
        session["planted"] = "by an earlier visitor"
    browser.sign_in("alice")
    with browser.client.session_transaction() as session:
        assert "planted" not in session
        assert session.permanent


def test_who_is_signed_in_already_goes_on(alice):
    browser = alice.browser("alice")
    assert browser.get("/-/sign-in?next=/alice").headers["Location"] == "/alice"
    assert browser.get("/-/sign-in").headers["Location"] == "/"


def test_a_page_that_needs_it_is_found_again_after_signing_in(alice):
    browser = alice.browser()
    away = browser.get("/-/new/project?parent=alice").headers["Location"]
    assert away.startswith("/-/sign-in?next=")
    page = browser.get(away)
    assert 'value="/-/new/project?parent=alice"' in page.text
    answer = browser.sign_in("alice", next="/-/new/project?parent=alice")
    assert answer.headers["Location"] == "/-/new/project?parent=alice"


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "////evil.example/x",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "http:evil.example",
    "https:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "//[",
    "http://[x",
    "/x\r\nSet-Cookie: a=b",
    "",
]


def test_after_signing_in_nobody_is_sent_to_another_site(alice, monkeypatch):
    monkeypatch.setattr(authentication, "verify_password", lambda *_, **__: True)
    signed_in = alice.browser("alice")
    for target in ELSEWHERE:
        query = {"next": target}
        assert alice.browser().get("/-/sign-in", query_string=query).status_code == 200, target
        answer = alice.browser().sign_in("alice", next=target)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/"), target
        answer = signed_in.get("/-/sign-in", query_string=query)
        assert answer.headers["Location"] == "/", target


def test_a_sign_in_and_a_failure_are_noted_with_the_address(alice):
    alice.browser().sign_in("alice", "wrong password")
    alice.browser().sign_in("alice")
    actions = [(actor, action) for actor, action, _ in alice.audit()][-2:]
    assert actions == [("alice", "user.sign_in_failed"), ("alice", "user.sign_in")]
    assert alice.row(User, username="alice").last_sign_in_at is not None
    assert "wrong password" not in str(alice.dump())


# -- the end of sessions -----------------------------------------------------------------------


@pytest.fixture
def two(alice):
    """Two browsers of alice."""
    return alice.browser("alice"), alice.browser("alice")


def test_a_new_password_ends_the_other_sessions_and_not_this_one(alice, two):
    here, elsewhere = two
    answer = here.post("/-/profile/password", {"current_password": PASSWORD, "new_password": NEW})
    assert answer.status_code == 302
    assert here.is_signed_in()
    assert not elsewhere.is_signed_in()
    assert alice.browser().sign_in("alice").status_code == 401
    assert alice.browser().sign_in("alice", NEW).status_code == 302
    assert ("alice", "user.password", "alice") in alice.audit()


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("wrong password", NEW, "current_password"),
        ("", NEW, "current_password"),
        (PASSWORD, "short", "new_password"),
        (PASSWORD, "", "new_password"),
        (PASSWORD, "x" * 1025, "new_password"),
    ],
)
def test_a_password_that_is_not_changed_changes_nothing(alice, two, current, new, field):
    here, elsewhere = two
    before = alice.dump()["users"]
    answer = here.post("/-/profile/password", {"current_password": current, "new_password": new})
    assert answer.status_code == 422
    assert f'id="{field}' in answer.text or f'name="{field}"' in answer.text
    assert alice.dump()["users"] == before
    assert elsewhere.is_signed_in()


def test_blocking_a_user_ends_their_sessions_at_once_and_unblocking_does_not_bring_them_back(
    alice, two
):
    alice.user("admin", admin=True)
    admin = alice.browser("admin")
    assert admin.post("/-/admin/users/alice", {"action": "block"}).status_code == 302
    assert [browser.is_signed_in() for browser in two] == [False, False]
    assert admin.post("/-/admin/users/alice", {"action": "unblock"}).status_code == 302
    assert [browser.is_signed_in() for browser in two] == [False, False]
    assert alice.browser().sign_in("alice").status_code == 302


def test_an_administrator_who_is_demoted_is_one_no_more_from_the_next_page_on(alice):
    alice.user("admin", admin=True)
    alice.user("boss", admin=True)
    browser = alice.browser("admin")
    assert browser.get("/-/admin").status_code == 200
    alice.browser("boss").post("/-/admin/users/admin", {"action": "demote"})
    assert browser.get("/-/admin").status_code == 404


def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out(alice):
    browser, thief = alice.browser(), alice.browser()
    browser.sign_in("alice")
    cookie = browser.client.get_cookie("registry_ui")
    thief.client.set_cookie("registry_ui", cookie.value)
    assert thief.is_signed_in()
    browser.post("/-/sign-out")
    assert not thief.is_signed_in()


@pytest.mark.both_databases
def test_signing_out_ends_this_browsers_session_alone(alice, two):
    two[0].post("/-/sign-out")
    assert not two[0].is_signed_in()
    assert two[1].is_signed_in()


@pytest.mark.both_databases
def test_a_session_ends_by_itself_after_two_weeks(alice):
    browser = alice.browser("alice")
    begun = datetime.now(UTC)
    alice.change(BrowserSession, {"created_at": begun - timedelta(days=13, hours=23)})
    assert browser.is_signed_in()
    alice.change(BrowserSession, {"created_at": begun - timedelta(days=14, seconds=1)})
    assert not browser.is_signed_in()


def test_the_store_does_not_hold_what_a_cookie_needs(alice):
    browser = alice.browser()
    browser.sign_in("alice")
    (row,) = alice.rows(BrowserSession)
    with browser.client.session_transaction() as session:
        key = session["_user_id"]
        assert key not in row.key_hash
        session["_user_id"] = row.key_hash
    assert not browser.is_signed_in()


@pytest.mark.parametrize("identity", ["1", "1:0", "alice", "x" * 43, "\0", "²", "", None])
def test_a_session_of_nobody_is_nobodys(alice, identity):
    browser = alice.browser()
    with browser.client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = identity, True
    assert not browser.is_signed_in()


def test_a_cookie_that_others_signed_is_not_read(alice):
    browser = alice.browser()
    browser.client.set_cookie("registry_ui", "eyJfdXNlcl9pZCI6IjE6MCJ9.aaaa.bbbb")
    assert not browser.is_signed_in()
