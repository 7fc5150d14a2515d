"""Strangers who guess from many networks at once don't keep users out who sign in there often.

The passwords are verified by the real hashing process, which is stopped while places fill up.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from functools import partial

import pytest

from registry_ui.accounts import hashing, password_checks
from registry_ui.accounts.password_cache import cached_passwords
from registry_ui.accounts.password_checks import (
    MAX_CHECKS,
    MAX_OF_KNOWN_NAME,
    MAX_WAITING,
    Priority,
)
from registry_ui.http.admission import LIMITS, Admission
from registry_ui.models import FailedSignIn, KnownSignIn, utc_now
from tests.support.processes import until
from tests.web.browser import Browser
from tests.web.support import PASSWORD, basic

OFFICE = "192.0.2.1"


@pytest.fixture
def office(site):
    """Accounts, of which alice has signed in from the office before; no process remembers it."""
    site.users("alice", "bob", "carol")
    assert ask(site, "alice", OFFICE) == 200
    with site.app.app_context():
        cached_passwords()._entries.clear()
    assert [(row.network, row.username) for row in site.rows(KnownSignIn)] == [(OFFICE, "alice")]
    return site


def ask(site, username, address, password=PASSWORD):
    client, headers = site.app.test_client(), basic(username, password)
    environ = {"REMOTE_ADDR": address}
    url = "/jwt/auth?service=registry"
    return client.get(url, headers=headers, environ_base=environ).status_code


def by_form(site, username, address, password):
    browser = Browser(site.app)
    data = {"csrf_token": browser.csrf(), "username": username, "password": password}
    environ = {"REMOTE_ADDR": address}
    return browser.client.post("/-/sign-in", data=data, environ_base=environ).status_code


def by_api(site, username, address, password):
    client, headers = site.app.test_client(), basic(username, password)
    environ = {"REMOTE_ADDR": address}
    return client.get("/api/v4/projects", headers=headers, environ_base=environ).status_code


DOORS = {"token": ask, "form": by_form, "api": by_api}


class Crowd:
    """Requests in threads of their own, and their statuses by user name as they are answered."""

    def __init__(self, site):
        self.site, self.threads, self.answers = site, [], []

    def send(self, username, address, password="wrong", door="token"):
        def run():
            status = DOORS[door](self.site, username, address, password)
            self.answers.append((username, status))

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    @property
    def checks(self):
        """The checks under way."""
        return self.site.app.extensions["password_checks"]._checks

    def has_settled(self, sent):
        """Whether each sent request waits or was answered."""
        return sum(check.waiter_count for check in self.checks.values()) + len(self.answers) == sent

    def fill(self, address_of, limit=64):
        """Guess from further addresses until one is refused; return how many were not."""
        for number in range(limit):
            self.send(f"{address_of(number)}-user", address_of(number))
            until(partial(self.has_settled, number + 1))
            if self.answers:
                assert self.answers.pop()[1] == 429
                return number
        raise AssertionError("nobody was refused")

    def wait(self):
        for thread in self.threads:
            thread.join(60)
        return dict(self.answers)


@pytest.fixture
def stopped(office, monkeypatch):
    """Stop the hashing process until ``go_on``; requests that wait for it stay where they are."""
    for module in (hashing, password_checks):  # a busy machine is not what this is about
        monkeypatch.setattr(module, "HASHING_TIMEOUT", 60.0)
    process = hashing._process._ensure_started()
    os.kill(process.pid, signal.SIGSTOP)
    crowd = Crowd(office)

    def go_on():
        os.kill(process.pid, signal.SIGCONT)

    yield crowd, go_on
    go_on()
    crowd.wait()


def of_many_providers(number):
    return f"2001:db8:{number:x}::1"


def of_one_provider(number):
    return f"2001:db8:aaaa:{number:x}::1"


@pytest.fixture
def hashed(monkeypatch):
    """The passwords, in the order in which the hashing process was asked about them."""
    asked, ask_process = [], hashing.HashingProcess._ask

    def ask_and_note(process, question):
        asked.append(json.loads(question)[1])
        return ask_process(process, question)

    monkeypatch.setattr(hashing.HashingProcess, "_ask", ask_and_note)
    return asked


def test_a_name_known_in_its_network_has_a_place_and_goes_first(stopped, office, hashed):
    crowd, go_on = stopped
    crowd.fill(of_many_providers)
    crowd.send("alice", OFFICE, PASSWORD)
    turn = hashing._process._lock
    until(lambda: any(not ordinary for ordinary, _ in turn._tickets))
    assert ask(office, "bob", "203.0.113.5") == 429, "not known there"
    assert ask(office, "alice", "203.0.113.5") == 429, "known elsewhere only"
    assert ask(office, "carol", OFFICE) == 429, "another name there"
    go_on()
    assert crowd.wait()["alice"] == 200
    assert hashed.index(PASSWORD) == 1, "only the one that was being hashed came before"


def test_the_answer_to_a_known_name_is_the_same_whether_it_exists(stopped, office):
    """The places are by network: a stranger elsewhere can't ask with them who has an account."""
    crowd, _ = stopped
    crowd.fill(of_many_providers)
    assert ask(office, "alice", "203.0.113.5", "x") == 429
    assert ask(office, "nobody", "203.0.113.5", "x") == 429


def test_many_networks_of_one_provider_leave_places_for_others(stopped, office):
    """65,536 networks of one customer: after two failures the whole block comes last."""
    crowd, go_on = stopped
    go_on()
    for number in range(2):
        assert ask(office, f"first{number}", of_one_provider(0xFF00 + number), "wrong") == 401
    os.kill(hashing._process._ensure_started().pid, signal.SIGSTOP)
    taken = crowd.fill(of_one_provider)
    assert taken >= 1
    crowd.send("bob", "203.0.113.5", PASSWORD)
    until(lambda: len(crowd.checks) == taken + 1)
    go_on()
    assert crowd.wait()["bob"] == 200


def test_a_colleague_who_guesses_does_not_keep_known_names_of_the_network_out(stopped, office):
    crowd, go_on = stopped
    office.app.extensions["refused_attempts"].suspect(OFFICE)
    crowd.send("mallory", OFFICE)
    until(lambda: len(crowd.checks) == 1)
    crowd.send("alice", OFFICE, PASSWORD)
    until(lambda: len(crowd.checks) == 2)
    go_on()
    assert crowd.wait()["alice"] == 200


def test_one_user_who_is_known_in_many_networks_does_not_take_the_reserved_places(stopped, office):
    crowd, go_on = stopped
    offices = [f"198.51.{number}.7" for number in range(MAX_CHECKS[Priority.KNOWN])]
    with office.session() as session:
        for address in offices:
            session.add(KnownSignIn(network=address, username="carol", at=utc_now()))
        session.commit()
    strangers = crowd.fill(of_many_providers)
    for number, address in enumerate(offices):
        crowd.send("carol", address)
        until(partial(crowd.has_settled, strangers + number + 1))
    assert [check.is_known for check in crowd.checks.values()].count(True) == MAX_OF_KNOWN_NAME
    crowd.send("alice", OFFICE, PASSWORD)
    until(lambda: ("alice", OFFICE) in [key[:2] for key in crowd.checks])
    go_on()
    assert crowd.wait()["alice"] == 200


def test_equal_guesses_of_strangers_leave_threads_for_known_names(stopped, office):
    crowd, go_on = stopped
    for number in range(12):
        crowd.send("somebody", of_many_providers(number % 3))
    until(lambda: crowd.has_settled(12))
    assert [status for _, status in crowd.answers] == [429] * (12 - MAX_WAITING[Priority.UNKNOWN])
    crowd.send("alice", OFFICE, PASSWORD)
    until(lambda: ("alice", OFFICE) in [key[:2] for key in crowd.checks])
    go_on()
    assert crowd.wait()["alice"] == 200


@pytest.mark.parametrize("door", ["form", "api"])
def test_pages_are_answered_while_sign_ins_wait_for_their_turn(stopped, office, door):
    """A password has a thread of its own, and takes no page's place."""
    office.app.wsgi_app = Admission(office.app.wsgi_app, [])  # as it is served
    crowd, go_on = stopped
    for number in range(MAX_CHECKS[Priority.UNKNOWN]):
        crowd.send(f"user{number}", of_many_providers(number), door=door)
        until(partial(crowd.has_settled, number + 1))
    assert len(crowd.checks) == MAX_CHECKS[Priority.UNKNOWN] > LIMITS.pages
    assert office.browser().get("/-/sign-in").status_code == 200
    go_on()
    crowd.wait()
    assert [status for _, status in crowd.answers] == [401] * MAX_CHECKS[Priority.UNKNOWN]


@pytest.mark.both_databases
def test_a_continuous_flood_from_many_networks_does_not_keep_a_known_name_out(office):
    """Nothing is stopped here: each answered guess is followed by another at once."""
    done, answers = threading.Event(), []

    def guess(start):
        number = start
        while not done.is_set() and number < start + 1000:
            answers.append(ask(office, f"user{number}", of_many_providers(number), "wrong"))
            number += 1

    threads = [threading.Thread(target=guess, args=(1000 * n,)) for n in range(1, 17)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: answers.count(429) > 50)
        assert ask(office, "alice", OFFICE) == 200
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert len(office.rows(FailedSignIn)) == answers.count(401)
