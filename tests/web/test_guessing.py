"""Guessing passwords is slowed down at every door, and no account is locked for it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from registry_ui.accounts import authentication, password_checks, throttle
from registry_ui.accounts.password_cache import cached_passwords
from registry_ui.accounts.password_checks import Priority
from registry_ui.accounts.throttle import LIMIT, WINDOW
from registry_ui.models import FailedSignIn, KnownSignIn
from registry_ui.token_auth.decision_log import decision_log
from tests.support.processes import until
from tests.web.browser import Browser
from tests.web.support import PASSWORD, basic


def by_page(site, username, password, address):
    browser = Browser(site.app)
    data = {"csrf_token": browser.csrf(), "username": username, "password": password}
    return browser.client.post("/-/sign-in", data=data, environ_base={"REMOTE_ADDR": address})


def by_token(site, username, password, address):
    url, headers = "/jwt/auth?service=registry", basic(username, password)
    client = site.app.test_client()
    return client.get(url, headers=headers, environ_base={"REMOTE_ADDR": address})


def by_api(site, username, password, address):
    headers, client = basic(username, password), site.app.test_client()
    return client.get("/api/v4/projects", headers=headers, environ_base={"REMOTE_ADDR": address})


DOORS = {"page": by_page, "token": by_token, "api": by_api}


@pytest.fixture
def alice(site, monkeypatch):
    """Accounts whose passwords take no work to compare."""
    site.users("alice", "bob")
    quick = mock.Mock(side_effect=lambda h, p, **_: h is not None and p == PASSWORD)
    monkeypatch.setattr(authentication, "verify_password", quick)
    return site


@pytest.fixture(params=DOORS)
def door(request, alice):
    """One door, at which alice's password was guessed at as often as that is allowed."""
    knock = DOORS[request.param]

    def guess(username="alice", password="guess", address="192.0.2.1"):
        return knock(alice, username, password, address)

    assert [guess().status_code for _ in range(LIMIT)] == [401] * LIMIT
    return guess


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still, until a test moves it."""
    at = [datetime.now(UTC)]
    monkeypatch.setattr(throttle, "utc_now", lambda: at[0])
    return at


def forget_refusals(site):
    """Let the process forget whom it has refused for some seconds, as time does."""
    with site.app.app_context():
        throttle.refusals().forget()


def test_too_many_failures_are_stopped_before_any_work(door, alice):
    with mock.patch.object(authentication, "verify_password") as work:
        assert door().status_code == 429
        with alice.statements() as repeated:
            assert door("ALICE").status_code == 429
            assert door(password=PASSWORD).status_code == 429
    assert not work.called
    assert [sql for sql in repeated if "users" in sql or "failed" in sql] == []


def test_the_answer_says_when_to_come_back_in_the_form_of_the_door(door):
    answer = door()
    assert int(answer.headers["Retry-After"]) > 0
    if answer.is_json:
        assert "TOOMANYREQUESTS" in answer.text
        assert "Too many failed attempts" in answer.text
    else:
        assert "Wait 1 second, then try again." in answer.text


def test_the_account_is_not_locked_elsewhere_and_others_are_not_at_all(door):
    assert door(password=PASSWORD, address="192.0.2.2").status_code in {200, 302}
    assert door("bob", PASSWORD).status_code in {200, 302}


def test_the_right_password_gets_in_after_a_pause_that_each_failure_doubles(alice, now):
    def guess(password="guess"):
        forget_refusals(alice)
        return by_token(alice, "alice", password, "192.0.2.1").status_code

    for _ in range(LIMIT):
        assert guess() == 401
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        assert guess() == 429
        now[0] += timedelta(seconds=pause + 0.01)
        assert guess() == 401
    now[0] += timedelta(seconds=60.01)
    assert guess(PASSWORD) == 200


@pytest.mark.both_databases
def test_after_a_while_failures_are_forgotten(door, alice):
    past = datetime.now(UTC) - WINDOW - timedelta(seconds=1)
    alice.change(FailedSignIn, {"at": past})
    forget_refusals(alice)
    assert door().status_code == 401
    assert len(alice.rows(FailedSignIn)) == 1


@pytest.mark.both_databases
def test_a_network_from_which_many_names_failed_pauses_but_for_names_known_there(alice, now):
    """Behind one address is a company: what one guesses there does not stop the others."""
    nat, elsewhere = "2001:db8::1", "2001:db8:0:1::1"
    assert by_token(alice, "alice", PASSWORD, nat).status_code == 200
    for number in range(throttle.NETWORK_LIMIT):
        address = f"2001:db8::{number + 2:x}"
        assert by_token(alice, f"user{number}", "guess", address).status_code == 401
    assert by_token(alice, "bob", PASSWORD, nat).status_code == 429
    assert by_token(alice, "one-more", "guess", nat).status_code == 429
    assert by_token(alice, "bob", PASSWORD, elsewhere).status_code == 200
    assert by_token(alice, "alice", "a new password", nat).status_code == 401
    with alice.app.app_context():
        cached_passwords()._entries.clear()  # as in another process
    assert by_token(alice, "alice", PASSWORD, nat).status_code == 200
    forget_refusals(alice)
    now[0] += timedelta(seconds=throttle.NETWORK_PAUSE + 0.01)
    assert by_token(alice, "bob", PASSWORD, nat).status_code == 200


@pytest.mark.parametrize("name", ["", "\x00"])
def test_guesses_without_a_name_stop_nobody_else(alice, name):
    assert [by_token(alice, name, "guess", "192.0.2.1").status_code for _ in range(LIMIT)] == [
        401
    ] * LIMIT
    assert by_token(alice, name, "guess", "192.0.2.1").status_code == 429
    assert by_token(alice, "bob", PASSWORD, "192.0.2.1").status_code == 200


def test_a_name_is_known_where_it_was_right_for_some_weeks(alice, now):
    def noted():
        return [(row.network, row.username) for row in alice.rows(KnownSignIn)]

    for address in ("192.0.2.1", "192.0.2.2"):
        by_token(alice, "Alice", PASSWORD, address)
        assert noted() == [("192.0.2.1", "alice")], "a remembered password is noted nowhere"
        by_token(alice, "bob", "guess", address)
    now[0] += throttle.KNOWN_FOR + timedelta(seconds=1)
    with alice.session() as session:
        throttle.forget_old(session, now[0])
        session.commit()
    assert noted() == []


def test_failures_count_together_at_every_door(alice):
    for number in range(LIMIT):
        knock = list(DOORS.values())[number % len(DOORS)]
        assert knock(alice, "alice", "guess", "192.0.2.1").status_code == 401
    for name, knock in DOORS.items():
        assert knock(alice, "alice", "guess", "192.0.2.1").status_code == 429, name


def test_an_unknown_user_is_slowed_down_like_a_known_one(alice):
    statuses = [by_token(alice, "nobody", "x", "192.0.2.1").status_code for _ in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]


def test_an_access_token_is_not_stopped_by_wrong_passwords(alice):
    token = alice.access_token("alice", "read_registry")
    for _ in range(LIMIT + 1):
        by_token(alice, "alice", "guess", "192.0.2.1")
    assert by_token(alice, "alice", token, "192.0.2.1").status_code == 200


def test_right_passwords_are_not_counted(alice):
    for _ in range(LIMIT + 2):
        assert by_token(alice, "alice", PASSWORD, "192.0.2.1").status_code == 200
    assert alice.rows(FailedSignIn) == []


def test_the_current_password_can_not_be_guessed_by_who_found_an_open_browser(alice):
    browser = alice.browser("alice")
    form = {"current_password": "guess", "new_password": "another password"}
    statuses = [browser.post("/-/profile/password", form).status_code for _ in range(LIMIT + 1)]
    assert statuses == [422] * LIMIT + [429]


def test_each_failure_is_noted_with_its_address_and_without_the_password(alice):
    by_token(alice, "alice", "secret guess", "192.0.2.1")
    assert alice.audit()[-1] == ("alice", "user.sign_in_failed", "sign in")
    assert "secret guess" not in str(alice.dump())
    assert "192.0.2.1" in str(alice.dump()["audit_entries"])


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_token_given_as_the_user_name_is_named_as_that_and_stored_nowhere(alice, door):
    secret = alice.access_token("alice", "read_registry")
    typed = f" {secret}"
    answer = door(alice, typed, "alice", "192.0.2.1")
    assert answer.status_code == 401
    assert "A token was given as the user name." in answer.text
    # Not quite the token is not quite a secret either.
    door(alice, secret[:-2], "alice", "192.0.2.1")
    # Nor does it matter what it is glued to.
    for glued in (f"x{secret}", f"alice{secret}", f"{secret}x", f"x{secret.upper()}"):
        door(alice, glued, "alice", "192.0.2.1")
    with alice.app.app_context():
        decision_log().flush()
    stored = str(alice.dump()).lower()
    assert secret[8:30].lower() not in stored
    assert "rui_***" in stored


class Verifying:
    """A comparison of passwords that takes until ``go_on``."""

    def __init__(self):
        self.begun, self.go_on, self.count = threading.Semaphore(0), threading.Event(), 0

    def __call__(self, _hash, _password, **_):
        self.count += 1
        self.begun.release()
        assert self.go_on.wait(60)
        return False


@pytest.fixture
def verifying(alice, monkeypatch):
    work = Verifying()
    monkeypatch.setattr(authentication, "verify_password", work)
    threads, statuses = [], []

    def guess(username, address, password="x"):
        def ask():
            statuses.append(by_token(alice, username, password, address).status_code)

        threads.append(threading.Thread(target=ask))
        threads[-1].start()

    yield work, guess, statuses
    work.go_on.set()
    for thread in threads:
        thread.join(60)


@pytest.mark.both_databases
def test_few_requests_wait_for_a_password_hash_and_the_others_are_refused_at_once(alice, verifying):
    work, guess, _ = verifying
    for number in range(password_checks.MAX_CHECKS[Priority.UNKNOWN]):
        guess(f"user{number}", f"192.0.{number}.1")
        assert work.begun.acquire(timeout=60)
    with alice.statements() as noted:
        answer = by_token(alice, "bob", PASSWORD, "192.0.99.1")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert [sql.split("FROM")[1].split()[0] for sql in noted] == ["known_sign_ins"]


def test_if_the_reserved_places_are_taken_too_nothing_is_looked_up(alice, verifying, monkeypatch):
    monkeypatch.setattr(password_checks, "MAX_CHECKS", dict.fromkeys(Priority, 2))
    work, guess, _ = verifying
    for number in range(2):
        guess(f"user{number}", f"192.0.{number}.1")
        assert work.begun.acquire(timeout=60)
    with alice.statements() as noted:
        assert by_token(alice, "bob", PASSWORD, "192.0.99.1").status_code == 429
    assert noted == []


def test_one_network_can_not_take_every_place(alice, verifying):
    work, guess, _ = verifying
    for number in range(password_checks.MAX_OF_NETWORK):
        guess(f"user{number}", f"2001:db8::{number + 1}")
        assert work.begun.acquire(timeout=60)
    assert by_token(alice, "bob", "x", "2001:db8::99").status_code == 429
    guess("bob", "2001:db8:0:1::1")
    assert work.begun.acquire(timeout=60)


def test_a_network_that_failed_often_has_one_place(alice, monkeypatch, verifying):
    work, guess, _ = verifying
    work.go_on.set()
    for number in range(throttle.SUSPECT_LIMIT + 1):
        by_token(alice, f"user{number}", "x", "192.0.2.1")
    work.go_on.clear()
    while work.begun.acquire(blocking=False):
        pass
    guess("user50", "192.0.2.1")
    assert work.begun.acquire(timeout=60)
    assert by_token(alice, "user51", "x", "192.0.2.1").status_code == 429


def test_guesses_that_come_all_at_once_are_no_more_than_those_one_by_one(alice, verifying):
    work, guess, statuses = verifying
    guess("alice", "192.0.2.1", "first")
    assert work.begun.acquire(timeout=60)
    for number in range(5):
        answer = by_token(alice, "alice", f"guess{number}", "192.0.2.1")
        assert answer.status_code == 429
    assert work.count == 1
    work.go_on.set()
    until(lambda: statuses == [401])
    assert by_token(alice, "alice", "second", "192.0.2.1").status_code == 401


def test_equal_guesses_at_once_are_one_failure(alice, verifying):
    work, guess, statuses = verifying
    for _ in range(3):
        guess("alice", "192.0.2.1", "the same")
    assert work.begun.acquire(timeout=60)
    checks = alice.app.extensions["password_checks"]._checks
    until(lambda: [check.waiter_count for check in checks.values()] == [3])
    work.go_on.set()
    until(lambda: statuses == [401] * 3)
    assert len(alice.rows(FailedSignIn)) == 1
