"""Garbage collections as they are asked for, cancelled and looked at."""

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

#: The subject of audit entries.
SUBJECT = "garbage collection"
#: So many are listed.
LISTED = 20
NOT_SET_UP = "There is no command that collects garbage."
SET_IT_UP = "Set REGISTRY_UI_GC_COMMAND; docs/administrators.md says how."


def command() -> tuple[str, ...]:
    """Return the words of the command that collects; none where it is not set."""
    found: tuple[str, ...] = current_app.config["SETTINGS"].gc_command
    return found


def begin(actor: Actor, *, dry_run: bool) -> GarbageCollection:
    """Ask for a collection, or for a dry run; a worker carries it out.

    Raises:
        Clash: one has not ended yet, or no command is set.
    """
    if not command():
        raise Conflict(NOT_SET_UP, hint=SET_IT_UP)
    with writing() as session:
        values = {"dry_run": dry_run, "requested_by": actor.name}
        if not insert_if_absent(session, GarbageCollection, slot=1, **values):
            raise Conflict(
                "A garbage collection is under way.", hint="Its progress is on its page."
            )
        row = session.scalars(select(GarbageCollection).where(GarbageCollection.slot == 1)).one()
        record(session, actor, _action(row, "start"), SUBJECT, run=row.id)
        return row


def cancel(actor: Actor, collection_id: int) -> GarbageCollection:
    """Stop a collection: at once, with its fence, while the collector has not begun.

    A collector that runs is told to end, and the fence stays until it has.

    Raises:
        NotFound: there is none.
        StateConflict: it has ended already.
    """
    with writing() as session:
        row = session.get(
            GarbageCollection, collection_id, with_for_update=True, populate_existing=True
        )
        if row is None:
            raise NotFound
        if not row.is_active:
            raise StateConflict("This garbage collection has ended already.")
        record(session, actor, _action(row, "cancel"), SUBJECT, run=row.id)
        row.cancel_wanted = True
        if row.state != "running":
            close(session, row, "cancelled")
        return row


def close(session: Session, row: GarbageCollection, state: str, problem: str = "") -> None:
    """End a collection, and lift its fence with it: the one never stands without the other."""
    if row.fence_id is not None:
        write_freeze.lift_fence(session, row.fence_id)
        record(session, Actor(row.requested_by), "fence.lift", SUBJECT, run=row.id)
    row.state, row.problem, row.finished_at = state, problem, utc_now()
    row.slot = row.fence_id = row.lease_until = row.lease_owner = None
    detail = {"problem": problem} if problem else {}
    actor = Actor(row.requested_by)
    record(session, actor, _action(row, state), SUBJECT, run=row.id, **detail)


def _action(row: GarbageCollection, what: str) -> str:
    return f"collection.{'dry_run' if row.dry_run else 'run'}.{what}"


def latest() -> list[GarbageCollection]:
    """Return the newest collections, the newest first."""
    return list(
        db.session.scalars(
            select(GarbageCollection).order_by(GarbageCollection.id.desc()).limit(LISTED)
        )
    )


def one(collection_id: int) -> GarbageCollection:
    """Return a collection; NotFound where there is none."""
    row = db.session.get(GarbageCollection, collection_id, populate_existing=True)
    if row is None:
        raise NotFound("There is no such garbage collection.")
    return row


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long writes will be stopped: for the tokens to end, and for the collector.

    ``collector`` is how long it took last time; None where it never ran.
    """

    tokens: timedelta
    collector: timedelta | None

    @property
    def collector_minutes(self) -> int:
        """How long the collector took, in whole minutes."""
        return (self.collector or timedelta()) // timedelta(minutes=1)

    @property
    def minutes(self) -> int:
        """Both together, in whole minutes."""
        return -int(-(self.tokens + (self.collector or timedelta())) // timedelta(minutes=1))


def forecast(rows: list[GarbageCollection]) -> Forecast:
    """Return how long a collection that begins now stops writes, judged by earlier ones."""
    settings = current_app.config["SETTINGS"]
    took = [
        row.finished_at - row.collector_started_at
        for row in rows
        if row.state == "done" and row.finished_at and row.collector_started_at
    ]
    tokens = timedelta(seconds=settings.token_lifetime) + write_freeze.GRACE
    return Forecast(tokens, took[0] if took else None)
