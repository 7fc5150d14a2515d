"""Which requests always find a thread, and what happens to the others when there is none."""

from __future__ import annotations

import threading
import time

import pytest
from flask import Flask

from registry_ui.accounts import password_checks
from registry_ui.accounts.password_checks import Client, PasswordChecks
from registry_ui.errors import SiteBusy
from registry_ui.http import admission
from registry_ui.http.admission import Admission, Limits, is_unlimited
from registry_ui.page_slots import KEY, PageSlot

QUICK = Limits(pages=1, waiting=1, timeout=0.05, max_delayed=1, delay=0.0)
MACHINES = (
    "/jwt/auth",
    "/auth/token/",
    "/jwt/jwks.json",
    "/gate/manifest",
    "/api/v4/registry_events",
    "/api/v4/registry_events/",
    "/healthz",
    "/readyz",
)
OTHERS = ("/", "/-/sign-in", "/api/v4/projects", "/static/app.css", "/acme/gate", "/jwt", "")


class Blocking:
    """An application whose answers to pages are not finished before ``go_on``."""

    def __init__(self, status="200 OK"):
        self.inside, self.go_on = threading.Semaphore(0), threading.Event()
        self.status = status

    def __call__(self, environ, start_response):
        self.environ = environ
        if not is_unlimited(environ["PATH_INFO"]):
            self.inside.release()
            assert self.go_on.wait(20)
        start_response(self.status, [])
        return [b"done"]


def ask(application, path):
    """Return status, headers, body, as a server reads them."""
    started = []
    answer = application({"PATH_INFO": path}, lambda *given: started.append(given))
    body = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    status, headers = started[0][:2]
    return status, dict(headers), body


@pytest.fixture
def busy():
    """An application behind an admission whose only place for pages is taken."""
    inner = Blocking()
    application = Admission(inner, [("X-Content-Type-Options", "nosniff")], QUICK)
    thread = threading.Thread(target=ask, args=(application, "/slow"))
    thread.start()
    assert inner.inside.acquire(timeout=10)
    yield application, inner
    inner.go_on.set()
    thread.join(20)


@pytest.mark.parametrize("path", MACHINES)
def test_clients_the_registry_and_probes_are_answered_while_pages_wait(busy, path):
    assert ask(busy[0], path)[0] == "200 OK"


def test_a_page_that_waits_for_something_else_gives_its_place_back_once(busy):
    application, inner = busy
    place = inner.environ[KEY]
    for _ in range(2):
        place.release()
    inner.go_on.set()
    assert ask(application, "/")[0] == "200 OK"
    assert application._pages._value == QUICK.pages


@pytest.fixture
def page():
    """A request for a page that has the only place; and the places."""
    places = threading.BoundedSemaphore(1)
    places.acquire()
    environ = {KEY: PageSlot(places, timeout=0.05)}
    with Flask("site").test_request_context("/", environ_overrides=environ):
        yield places


def test_a_page_takes_its_place_again_once_its_password_is_verified(page):
    def check():
        assert page._value == 1
        return True

    assert PasswordChecks().share(Client("alice", "192.0.2.1"), "secret", check)
    assert page._value == 0


def test_a_page_whose_place_was_taken_while_its_password_was_verified_is_refused(page):
    with pytest.raises(SiteBusy):
        PasswordChecks().share(Client("alice", "192.0.2.1"), "secret", page.acquire)
    assert page._value == 0


def test_a_wrong_password_needs_no_place_again(page):
    client = Client("alice", "192.0.2.1")
    assert not PasswordChecks().share(client, "guess", lambda: not page.acquire())


@pytest.mark.parametrize("path", OTHERS)
def test_a_page_for_which_there_is_no_room_is_refused_and_told_when_to_come_back(busy, path):
    status, headers, body = ask(busy[0], path)
    assert status == "503 Service Unavailable"
    assert int(headers["Retry-After"]) > 0
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert int(headers["Content-Length"]) == len(body)
    assert b"The site is busy." in body
    assert headers["Content-Type"].startswith(
        "application/json" if path.startswith("/api/") else "text/html"
    )


def test_a_page_that_waits_its_turn_is_answered():
    inner = Blocking()
    application = Admission(inner, [], Limits(pages=1, waiting=1, timeout=20))
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(application, "/slow")[0]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    inner.go_on.set()
    for thread in threads:
        thread.join(20)
    assert answers == ["200 OK"] * 2


def test_a_page_keeps_its_place_until_it_was_sent_and_an_error_gives_it_back():
    def fails(_environ, _start_response):
        raise ZeroDivisionError

    application = Admission(fails, [], QUICK)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            ask(application, "/")

    def answers(_environ, start_response):
        start_response("200 OK", [])
        return [b"a", b"b"]

    application = Admission(answers, [], QUICK)
    sending = application({"PATH_INFO": "/"}, lambda *_: None)
    assert ask(application, "/")[0].startswith("503")
    sending.close()
    assert ask(application, "/")[0] == "200 OK"


def test_the_answer_to_too_many_attempts_is_held_back_and_takes_no_place_of_a_page(monkeypatch):
    inner = Blocking("429 Too Many Requests")
    inner.go_on.set()
    held, go_on = threading.Semaphore(0), threading.Event()

    def sleep(_seconds):
        held.release()
        assert go_on.wait(20)

    monkeypatch.setattr(time, "sleep", sleep)
    application = Admission(inner, [], QUICK)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(application, "/jwt/auth")))
    thread.start()
    assert held.acquire(timeout=10)
    # One is held, so the next is refused at once; and pages go on.
    assert ask(application, "/-/sign-in")[0] == "429 Too Many Requests"
    inner.status = "200 OK"
    assert ask(application, "/")[0] == "200 OK"
    go_on.set()
    thread.join(20)
    assert answers == [("429 Too Many Requests", {}, b"done")]


def test_the_threads_of_a_process_are_more_than_pages_and_passwords_can_take():
    limits = admission.LIMITS
    taken = limits.pages + limits.waiting + limits.max_delayed + password_checks.MAX_THREADS
    assert admission.THREADS - taken == admission.RESERVED >= 4
