"""Service for garbage collections: request, cancel, close, list, and forecast.

The worker carries them out in runner.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..errors import Conflict, NotFound, StateConflict
from ..models import GarbageCollection, utc_now
from ..operations import write_freeze

#: Subject of the audit entries about garbage collections.
SUBJECT = "garbage collection"
#: Maximum number of collections that the page lists.
MAX_LISTED = 20
NOT_SET_UP = "There is no command that collects garbage."
SETUP_HINT = "Set REGISTRY_UI_GC_COMMAND; docs/administrators.md says how."


def command() -> tuple[str, ...]:
    """Return the configured collector command and its arguments; empty if there is none."""
    arguments: tuple[str, ...] = current_app.config["SETTINGS"].gc_command
    return arguments


def begin(actor: Actor, *, dry_run: bool) -> GarbageCollection:
    """Request a garbage collection or a dry run, which a worker then carries out.

    Returns:
        The new collection.

    Raises:
        Conflict: an earlier collection has not ended yet, or no collector command is configured.
    """
    if not command():
        raise Conflict(NOT_SET_UP, hint=SETUP_HINT)
    with writing() as session:
        if not insert_if_absent(
            session, GarbageCollection, slot=1, dry_run=dry_run, requested_by=actor.name
        ):
            raise Conflict(
                "A garbage collection is under way.", hint="Its progress is on its page."
            )
        row = session.scalars(select(GarbageCollection).where(GarbageCollection.slot == 1)).one()
        record(session, actor, _audit_action(row, "start"), SUBJECT, run=row.id)
        return row


def cancel(actor: Actor, collection_id: int) -> GarbageCollection:
    """Cancel a garbage collection.

    If the collector does not run yet, the collection and its write freeze end at once. A running
    collector is ended by its worker, and writes stay frozen until the collector has ended.

    Returns:
        The collection.

    Raises:
        NotFound: there is no such collection.
        StateConflict: the collection has already ended.
    """
    with writing() as session:
        row = session.get(
            GarbageCollection, collection_id, with_for_update=True, populate_existing=True
        )
        if row is None:
            raise NotFound
        if not row.is_active:
            raise StateConflict("This garbage collection has ended already.")
        record(session, actor, _audit_action(row, "cancel"), SUBJECT, run=row.id)
        row.cancel_wanted = True
        if row.state != "running":
            close(session, row, "cancelled")
        return row


def close(session: Session, row: GarbageCollection, state: str, problem: str = "") -> None:
    """End a collection, and lift its write freeze in the same transaction.

    Args:
        session: the session of the caller's write transaction.
        row: the collection.
        state: the final state: done, failed, or cancelled.
        problem: a message for the page of the collection, "" for none.
    """
    if row.write_freeze_id is not None:
        write_freeze.lift_write_freeze(session, row.write_freeze_id)
        record(session, Actor(row.requested_by), "write_freeze.lift", SUBJECT, run=row.id)
    row.state, row.problem, row.finished_at = state, problem, utc_now()
    row.slot = row.write_freeze_id = row.lease_until = row.lease_owner = None
    detail = {"problem": problem} if problem else {}
    actor = Actor(row.requested_by)
    record(session, actor, _audit_action(row, state), SUBJECT, run=row.id, **detail)


def _audit_action(row: GarbageCollection, event: str) -> str:
    return f"collection.{'dry_run' if row.dry_run else 'run'}.{event}"


def latest() -> list[GarbageCollection]:
    """Return the latest garbage collections, newest first, at most MAX_LISTED."""
    return list(
        db.session.scalars(
            select(GarbageCollection).order_by(GarbageCollection.id.desc()).limit(MAX_LISTED)
        )
    )


def one(collection_id: int) -> GarbageCollection:
    """Return a garbage collection by its id; raise NotFound if there is none."""
    row = db.session.get(GarbageCollection, collection_id, populate_existing=True)
    if row is None:
        raise NotFound("There is no such garbage collection.")
    return row


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimate of how long a garbage collection would freeze writes.

    Attributes:
        tokens: time until the last bearer token that was issued before the freeze has expired.
        collector: how long the collector took in the last successful collection; None if there
            was none.
    """

    tokens: timedelta
    collector: timedelta | None

    @property
    def collector_minutes(self) -> int:
        """How long the collector took last time, in whole minutes, rounded down; 0 if unknown."""
        return (self.collector or timedelta()) // timedelta(minutes=1)

    @property
    def minutes(self) -> int:
        """Expected duration of the write freeze in whole minutes, rounded up."""
        return -int(-(self.tokens + (self.collector or timedelta())) // timedelta(minutes=1))


def forecast(rows: list[GarbageCollection]) -> Forecast:
    """Estimate how long a collection that begins now would freeze writes.

    Args:
        rows: earlier collections, newest first. The estimate uses the duration of the first
            successful one that is not a dry run, because a dry run deletes nothing.
    """
    settings = current_app.config["SETTINGS"]
    durations = [
        row.finished_at - row.collector_started_at
        for row in rows
        if row.state == "done" and not row.dry_run and row.finished_at and row.collector_started_at
    ]
    tokens = timedelta(seconds=settings.token_lifetime) + write_freeze.GRACE
    return Forecast(tokens, durations[0] if durations else None)
