"""An event that can't be applied is set aside; it holds back no other."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from registry_ui.db.session import db, writing
from registry_ui.endpoints import registry_events
from registry_ui.events import apply
from registry_ui.jobs import tasks
from registry_ui.models import RegistryEvent, Tag
from tests.web.support import digest, event_of


@pytest.fixture
def acme(site):
    site.project("acme/app")
    return site


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that follow from applied events; they are not carried out."""
    queued = []
    monkeypatch.setattr(tasks, "enqueue", lambda *job: queued.append(job))
    return queued


def test_an_event_that_breaks_us_is_set_aside_and_the_others_go_on(acme, monkeypatch):
    right = apply.parse_event

    def breaks(event):
        if event["id"] == "poison":
            raise ZeroDivisionError
        return right(event)

    monkeypatch.setattr(apply, "parse_event", breaks)
    acme.deliver(
        event_of("push", "acme/app", "v1", id="poison"),
        event_of("push", "acme/app", "v2", id="good"),
    )
    by_id = {row.event_id: row for row in acme.rows(RegistryEvent)}
    assert (by_id["poison"].status, by_id["good"].status) == ("rejected", "applied")
    assert acme.row(Tag).name == "v2"


def test_an_event_that_the_database_can_not_hold_is_set_aside_and_others_wait_for_it(
    acme, monkeypatch
):
    right = apply.parse_event

    def breaks(event):
        if event["id"] in errors:
            raise errors[event["id"]]("statement", {}, Exception("words"))
        return right(event)

    errors = {"poison": DataError, "early": OperationalError}
    monkeypatch.setattr(apply, "parse_event", breaks)
    with monkeypatch.context() as patched:
        patched.setattr(registry_events, "enqueue", lambda *_job: None)
        acme.deliver(
            event_of("push", "acme/app", "v1", id="poison"),
            event_of("push", "acme/app", "v2", id="early"),
        )
    with acme.app.app_context(), pytest.raises(OperationalError):
        tasks.apply_events()
    by_id = {row.event_id: row.status for row in acme.rows(RegistryEvent)}
    assert by_id == {"poison": "rejected", "early": "pending"}
    del errors["early"]
    with acme.app.app_context():
        tasks.apply_events()
    assert acme.row(Tag).name == "v2"


@pytest.mark.parametrize("failures", [2, 10**9], ids=["for a moment", "each time"])
def test_an_event_that_contradicts_what_is_stored_is_tried_again_and_then_set_aside(
    acme, monkeypatch, caplog, failures
):
    right, tries = apply.parse_event, []

    def breaks(event):
        if event["id"] == "poison":
            tries.append(event)
            if len(tries) <= failures:
                raise IntegrityError("statement", {}, Exception("words"))
        return right(event)

    monkeypatch.setattr(apply, "parse_event", breaks)
    acme.deliver(
        event_of("push", "acme/app", "v1", id="poison"),
        event_of("push", "acme/app", "v2", id="good"),
    )
    for _ in range(2):
        with acme.app.app_context():
            tasks.apply_events()
    by_id = {row.event_id: row.status for row in acme.rows(RegistryEvent)}
    rejected = failures > 2
    assert by_id == {"poison": "rejected" if rejected else "applied", "good": "applied"}
    assert len(tries) == 3
    logged = [record for record in caplog.records if "can't be applied" in record.getMessage()]
    assert len(logged) == rejected


@pytest.mark.both_databases
def test_what_follows_from_an_event_is_queued_even_if_the_database_fails_at_a_later_one(
    acme, monkeypatch, jobs
):
    right = apply.parse_event

    def breaks(event):
        if event["id"] == "late":
            raise OperationalError("statement", {}, Exception("words"))
        return right(event)

    monkeypatch.setattr(apply, "parse_event", breaks)
    with monkeypatch.context() as patched:
        patched.setattr(registry_events, "enqueue", lambda *_job: None)
        acme.deliver(
            event_of("push", "acme/app", "v1", id="good", digest=digest("b")),
            event_of("push", "acme/app", "v2", id="late", digest=digest("c")),
        )
    with acme.app.app_context(), pytest.raises(OperationalError):
        tasks.apply_events()
    by_id = {row.event_id: row.status for row in acme.rows(RegistryEvent)}
    assert by_id == {"good": "applied", "late": "pending"}
    assert jobs == [("fetch_manifest", "acme/app", digest("b")), ("reconcile_wanted",)]


@pytest.mark.both_databases
def test_no_transaction_is_open_while_what_follows_from_events_is_queued(acme, monkeypatch):
    are_open = []
    monkeypatch.setattr(tasks, "enqueue", lambda *_: are_open.append(db.session().in_transaction()))
    acme.deliver(event_of("push", "acme/app", "v1", digest=digest("b")))
    assert are_open == [False, False]


def test_nothing_follows_from_an_event_whose_transaction_fails(acme, monkeypatch, jobs):
    failures = iter([True] * apply.MAX_ATTEMPTS)

    @contextmanager
    def fails_at_the_end():
        with writing() as session:
            yield session
            if next(failures, False):
                raise IntegrityError("statement", {}, Exception("words"))

    monkeypatch.setattr(apply, "writing", fails_at_the_end)
    acme.deliver(
        event_of("push", "acme/app", "v1", id="poison", digest=digest("b")),
        event_of("pull", "acme/app", "v1", id="good"),
    )
    by_id = {row.event_id: row.status for row in acme.rows(RegistryEvent)}
    assert by_id == {"poison": "rejected", "good": "dropped"}
    assert acme.rows(Tag) == []
    assert jobs == []
