"""Pushes and pulls are kept by day: each once, however and in whatever order events come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.catalog.push_log import record_push
from registry_ui.events import apply
from registry_ui.jobs.tasks import apply_events
from registry_ui.models import ContainerImage, DailyCount, Push, RegistryEvent, Tag
from tests.web.support import digest, event_of

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def acme(site):
    site.project("acme/app")
    return site


def counts(site):
    return sorted((c.day, c.name, c.pushes, c.pulls) for c in site.rows(DailyCount))


def test_a_push_is_kept_with_who_when_and_what(acme):
    acme.deliver(event_of("push", "acme/app/web", "v1", by="alice", at=NOON, digest=digest("b")))
    push = acme.row(Push)
    assert (push.name, push.tag, push.digest) == ("web", "v1", digest("b"))
    assert (push.actor, push.at) == ("alice", NOON)
    assert counts(acme) == [(date(2026, 3, 1), "web", 1, 0)]


def test_an_event_that_comes_again_counts_once(acme):
    push = event_of("push", "acme/app", "v1", at=NOON)
    pull = event_of("pull", "acme/app", "v1", at=NOON)
    for _ in range(3):
        acme.deliver(push, pull, push)
    assert counts(acme) == [(date(2026, 3, 1), "", 1, 1)]
    assert len(acme.rows(Push)) == 1


def test_a_second_run_counts_no_event_twice(acme):
    acme.deliver(event_of("push", "acme/app", "v1", at=NOON))
    with acme.app.app_context():
        apply_events()
    assert counts(acme) == [(date(2026, 3, 1), "", 1, 0)]


def test_an_event_that_breaks_off_leaves_no_count(acme, monkeypatch):
    """The count is in the transaction that claims the event: both, or neither."""

    def noted_and_broken(*args):
        record_push(*args)
        raise RuntimeError("broke off")

    monkeypatch.setattr(apply, "record_push", noted_and_broken)
    acme.deliver(event_of("push", "acme/app", "v1", at=NOON))
    assert acme.row(RegistryEvent).status == "rejected"
    assert acme.rows(Push) == []
    assert counts(acme) == []


def test_days_are_those_of_utc_and_late_events_count_on_their_own(acme):
    late = "2026-03-02T00:30:00+05:30"
    acme.deliver(event_of("push", "acme/app", "v1", at=NOON + DAY))
    acme.deliver(event_of("push", "acme/app", "v1", at=late))
    assert counts(acme) == [(date(2026, 3, 1), "", 1, 0), (date(2026, 3, 2), "", 1, 0)]


def test_a_clock_ahead_of_ours_counts_today(acme):
    acme.deliver(event_of("push", "acme/app", "v1", at=datetime.now(UTC) + 400 * DAY))
    (row,) = acme.rows(DailyCount)
    assert abs(datetime.now(UTC).date() - row.day) <= DAY


@pytest.mark.parametrize(
    "event",
    [
        event_of("push", "acme/app", digest=digest("c"), at=NOON),
        event_of("push", "acme/app", "sha256-" + "a" * 64 + ".sig", at=NOON),
        event_of("push", "acme/app", "v1", by=OWN_SUBJECT, at=NOON),
        event_of("push", "acme/app", type="application/octet-stream", at=NOON),
        event_of("push", "acme/other", "v1", at=NOON),
        event_of("pull", "acme/app", "v1", method="HEAD", at=NOON),
        event_of("pull", "acme/app", digest=digest("c"), at=NOON),
    ],
    ids=["platform", "signature", "our own", "blob", "unassigned", "look", "part"],
)
def test_what_is_no_push_or_pull_to_people_is_not_counted(acme, event):
    acme.image("acme/app", "v1")
    acme.deliver(event)
    assert counts(acme) == []
    assert acme.rows(Push) == []


def test_what_happened_stays_when_the_image_goes(acme):
    acme.deliver(event_of("push", "acme/app/web", "v1", at=NOON))
    with acme.session() as session:
        session.query(Tag).delete()
        session.query(ContainerImage).delete()
        session.commit()
    assert len(acme.rows(Push)) == 1
    acme.deliver(event_of("push", "acme/app/web", "v2", at=NOON))
    assert counts(acme) == [(date(2026, 3, 1), "web", 2, 0)]
