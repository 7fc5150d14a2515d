"""Fences: no push and no deletion at a path and below it, until the fence is lifted.

The registry knows nothing of them: it lets through what a bearer token grants. So a fence
is kept by whoever grants tokens, at once by the gate, and by our own work, which asks here.
What was granted before can be used until the fence is quiet.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..access import Fenced, fences_over
from ..access.lookup import prefixes
from ..db.prepared import insert_if_absent
from ..errors import Conflict
from ..models import Copy, Fence, Move, Removal, utc_now
from ..token_auth.keyring import LEEWAY

#: The fence that stands everywhere.
EVERYWHERE = ""
#: Beyond the life of a token: the registry's own leeway, and what decisions under way and
#: clocks that differ may take.
GRACE = timedelta(seconds=LEEWAY + 30)
#: The tables of our own work that writes to the registry. While a worker is at a row, its
#: ``lease_until`` is in the future.
WRITERS = (Removal, Copy, Move)
#: What somebody is told whose wish has to wait.
WORDS = {
    "collection": "the garbage collection is over",
    "move": "its images have been moved",
}


def raise_fence(session: Session, path: str, reason: str) -> Fence:
    """Stop pushes and deletions at a path and below it; EVERYWHERE for the whole registry.

    Args:
        session: of ``writing()``; the fence stands once that is committed.
        reason: ``collection`` or ``move``.

    Raises:
        Clash: a fence stands at this very path.
    """
    mine = select(Fence).where(Fence.path == path)
    # Asked first: on SQLite this waits for other writers, and the time counts from then.
    there = session.scalar(mine)
    now = utc_now()
    lifetime = timedelta(seconds=current_app.config["SETTINGS"].token_lifetime)
    values = {"path": path, "reason": reason, "set_at": now, "quiet_at": now + lifetime + GRACE}
    if there is not None or not insert_if_absent(session, Fence, **values):
        raise Conflict("Writes are stopped here already.", hint="Try again later.")
    return session.scalars(mine).one()


def lift_fence(session: Session, fence_id: int) -> None:
    """Let pushes and deletions go on; nothing where the fence is gone already."""
    fence = session.get(Fence, fence_id)
    if fence is not None:
        session.delete(fence)


def quiet_from(fence: Fence) -> datetime:
    """Return the moment from which no token with push or delete from before can be used."""
    return fence.quiet_at


def fenced(session: Session, path: str, *, except_fence_id: int | None = None) -> Fenced | None:
    """Return the widest fence over a path, or None: our own work waits for its end.

    Args:
        path: a repository, or a place; EVERYWHERE for the fence of the whole registry alone.
        except_fence_id: a fence that does not count: that of whoever asks.
    """
    above = prefixes(path) if path else []
    query = select(Fence).where(fences_over(above)).order_by(Fence.path)
    for fence in session.scalars(query.execution_options(populate_existing=True)):
        if fence.id != except_fence_id:
            return Fenced(fence.path, fence.reason, fence.set_at)
    return None


def writers_until(session: Session) -> datetime | None:
    """Return until when a worker of ours may still write, as far as known; None for no one.

    A worker that comes to a fence lets go of its work, a dead one's lease runs out.
    """
    found = (
        session.scalar(select(func.max(writer.lease_until)).where(writer.lease_until > utc_now()))
        for writer in WRITERS
    )
    return max(filter(None, found), default=None)


def require_open(session: Session, path: str) -> None:
    """Raise Clash where a fence stands over a path: for what is done at once or not at all."""
    fence = fenced(session, path)
    if fence is not None:
        until = WORDS[fence.reason]
        raise Conflict(f"Nothing is written before {until}.", hint="Try again later.")
