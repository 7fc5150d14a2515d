"""Guessing passwords is slowed down at every door, and no account is locked for it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from registry_ui.accounts import throttle
from registry_ui.accounts.throttle import LIMIT, WINDOW
from registry_ui.models import FailedSignIn
from tests.web.support import PASSWORD, Browser, basic

VERIFY = "registry_ui.accounts.authentication.verify_password"


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
    quick = mock.Mock(side_effect=lambda h, p: h is not None and p == PASSWORD)
    monkeypatch.setattr(VERIFY, quick)
    return site


@pytest.fixture(params=DOORS)
def door(request, alice):
    """One door, at which alice's password was guessed at as often as that is allowed."""
    knock = DOORS[request.param]

    def guess(username="alice", password="guess", address="192.0.2.1"):
        return knock(alice, username, password, address)

    assert [guess().status_code for _ in range(LIMIT)] == [401] * LIMIT
    return guess


def test_too_many_failures_are_stopped_before_any_work(door):
    with mock.patch(VERIFY) as work:
        assert door().status_code == 429
        assert door("ALICE").status_code == 429
        assert door(password=PASSWORD).status_code == 429
    assert not work.called


def test_the_answer_says_when_to_come_back_in_the_form_of_the_door(door):
    answer = door()
    assert int(answer.headers["Retry-After"]) > 0
    if answer.is_json:
        assert "TOOMANYREQUESTS" in answer.text
        assert "Too many failed attempts" in answer.text
    else:
        assert "Wait 10 minutes" in answer.text


def test_the_account_is_not_locked_elsewhere_and_others_are_not_at_all(door):
    assert door(password=PASSWORD, address="192.0.2.2").status_code in {200, 302}
    assert door("bob", PASSWORD).status_code in {200, 302}


def test_after_a_while_one_may_try_again(door, alice):
    past = datetime.now(UTC) - WINDOW - timedelta(seconds=1)
    alice.change(FailedSignIn, {"at": past})
    assert door(password=PASSWORD).status_code in {200, 302}
    assert door().status_code == 401
    assert len(alice.rows(FailedSignIn)) == 1, "old failures are forgotten"


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


def test_few_password_hashes_are_computed_at_a_time(alice, monkeypatch):
    monkeypatch.setattr(throttle, "PATIENCE", 0.05)
    inside, go_on = threading.Semaphore(0), threading.Event()

    def slow(_hash, _password):
        inside.release()
        go_on.wait(20)
        return False

    monkeypatch.setattr(VERIFY, slow)
    threads = [
        threading.Thread(target=by_token, args=(alice, f"user{n}", "x", "192.0.2.1"))
        for n in range(throttle.PLACES)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=10)
    answer = by_token(alice, "alice", PASSWORD, "192.0.2.9")
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_guesses_that_come_all_at_once_are_no_more_than_those_one_by_one(alice, monkeypatch):
    monkeypatch.setattr(throttle, "PATIENCE", 20)
    guesses, checks, all_in, statuses = 20, [], threading.Event(), []
    check = throttle.check

    def counted(*arguments):
        check(*arguments)
        checks.append(arguments)
        if len(checks) >= guesses:
            all_in.set()

    def verify(_hash, _password):
        assert all_in.wait(20)  # everybody has been let in before the first has failed
        return False

    monkeypatch.setattr(throttle, "check", counted)
    monkeypatch.setattr(VERIFY, verify)

    def guess():
        statuses.append(by_token(alice, "alice", "guess", "192.0.2.1").status_code)

    threads = [threading.Thread(target=guess) for _ in range(guesses)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # As many more as there are places: those were at it already.
    assert LIMIT <= statuses.count(401) < LIMIT + throttle.PLACES
    assert statuses.count(429) == guesses - statuses.count(401)


def test_nobody_waits_long_for_a_place():
    """Who waits holds a thread of the site."""
    assert throttle.PATIENCE <= 2
