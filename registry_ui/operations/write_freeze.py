"""Write freezes: no push or deletion at a path or below it until lifted.

The registry knows nothing about freezes and allows whatever a bearer token grants. So a freeze is
enforced by the token endpoint, by the gate (the check in the reverse proxy, which is immediate),
and by removals, copies, and moves, which use this module. Without the gate, tokens issued before
the freeze can be used until its ``quiet_at``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..access import ActiveFreeze, freezes_over
from ..access.lookup import prefixes
from ..db.prepared import insert_if_absent
from ..errors import Conflict
from ..models import Copy, Move, Removal, WriteFreeze, utc_now
from ..token_auth.keyring import LEEWAY

#: Path that stands for the whole registry.
EVERYWHERE = ""
#: How long to wait after the last token has expired: the registry's leeway, plus a margin for
#: token requests in progress and for clock differences.
GRACE = timedelta(seconds=LEEWAY + 30)
#: Models of this application's operations that write to the registry. While a worker holds a row,
#: its ``lease_until`` is in the future.
WRITERS = (Removal, Copy, Move)
#: Event that a refused request has to wait for, by the reason for the freeze.
AWAITED_EVENTS = {
    "collection": "the garbage collection is over",
    "move": "its images have been moved",
}


def freeze_writes(session: Session, path: str, reason: str) -> WriteFreeze:
    """Freeze pushes and deletions at a path and below it, and return the freeze.

    Args:
        session: session of ``writing()``; the freeze takes effect when it is committed.
        path: path of a project, namespace, or image; EVERYWHERE for the whole registry.
        reason: ``collection`` or ``move``.

    Raises:
        Conflict: exactly this path is already frozen.
    """
    query = select(WriteFreeze).where(WriteFreeze.path == path)
    # Begin with a query: on SQLite it waits for other writers, and ``set_at`` must be later than
    # their changes.
    existing = session.scalar(query)
    now = utc_now()
    lifetime = timedelta(seconds=current_app.config["SETTINGS"].token_lifetime)
    if existing is not None or not insert_if_absent(
        session,
        WriteFreeze,
        path=path,
        reason=reason,
        set_at=now,
        quiet_at=now + lifetime + GRACE,
    ):
        raise Conflict("Writes are stopped here already.", hint="Try again later.")
    return session.scalars(query).one()


def lift_write_freeze(session: Session, freeze_id: int) -> None:
    """End a write freeze; do nothing if the freeze has already ended."""
    freeze = session.get(WriteFreeze, freeze_id)
    if freeze is not None:
        session.delete(freeze)


def quiet_from(freeze: WriteFreeze) -> datetime:
    """Return when the last push or delete token that was issued before the freeze has expired."""
    return freeze.quiet_at


def find_freeze(
    session: Session, path: str, *, except_freeze_id: int | None = None
) -> ActiveFreeze | None:
    """Return the widest write freeze over a path, or None if there is none.

    Args:
        path: path of a repository, project, or namespace; EVERYWHERE to find only a freeze of the
            whole registry.
        except_freeze_id: id of a freeze to ignore: the caller's own.
    """
    above = prefixes(path) if path else []
    query = select(WriteFreeze).where(freezes_over(above)).order_by(WriteFreeze.path)
    for freeze in session.scalars(query.execution_options(populate_existing=True)):
        if freeze.id != except_freeze_id:
            return ActiveFreeze(freeze.path, freeze.reason, freeze.set_at)
    return None


def writers_until(session: Session) -> datetime | None:
    """Return when the last lease of an operation that writes to the registry expires.

    Returns None if no such lease is held. A worker that finds a freeze releases its lease, and the
    lease of a dead worker expires.
    """
    lease_ends = (
        session.scalar(select(func.max(writer.lease_until)).where(writer.lease_until > utc_now()))
        for writer in WRITERS
    )
    return max(filter(None, lease_ends), default=None)


def require_open(session: Session, path: str) -> None:
    """Raise Conflict if writes are frozen at a path. For changes that can't wait in a queue."""
    freeze = find_freeze(session, path)
    if freeze is not None:
        event = AWAITED_EVENTS[freeze.reason]
        raise Conflict(f"Nothing is written before {event}.", hint="Try again later.")
