"""A move in the hands of one worker: held, written to, heeded when it is cancelled."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from ..db.session import db, release, writing
from ..distribution.errors import RegistryError
from ..models import Move, MovedRepository, Removal, utc_now
from ..models.move import ACTIVE, CANCELLABLE
from ..operations import lease
from ..operations.lease import (
    LEASE,
    SIGN_SECONDS,
    SILENT,
    STALL_LIMIT,
    Cancelled,
    LeaseLost,
    Silence,
)
from ..operations.write_freeze import EVERYWHERE, fenced

#: How long a move waits for a registry that does not answer, over all its workers, while nobody
#: can push. Then it stops, so that they can push again.
FENCED_STALL_LIMIT = timedelta(minutes=15)
#: States in which nobody can push to what moves.
FENCED = ("fenced", "settling", "verifying")


class MoveFailed(Exception):
    """A move can't go on; the message is for its page."""


class HeldBack(Exception):
    """A move has to wait for something else, and is left for later."""


@dataclass(slots=True)
class Hold:
    """A move in the hands of one worker, until it is silent for too long."""

    move: Move
    owner: str
    _last_look: float = field(default_factory=time.monotonic)
    _silence: Silence = field(default_factory=Silence)

    def hold(self) -> None:
        """Give a sign and look, at most once in a few seconds: to be called before every call.

        Raises:
            LeaseLost: it is somebody else's by now.
            Cancelled: somebody cancelled it.
            HeldBack: nothing may be written in the whole registry.
        """
        if time.monotonic() - self._last_look >= SIGN_SECONDS:
            with writing() as session:
                self.write(session)
            self._last_look = time.monotonic()
            self.heed()
            self.require_open()

    def wait_for_registry(self, error: RegistryError) -> None:
        """Pause before a phase that failed is continued, each time for longer.

        Raises:
            HeldBack: it was silent for too long: the schedule lets another worker try.
            MoveFailed: nobody should wait any longer.
            LeaseLost, Cancelled: as hold().
        """
        self.note_stall(SILENT.format(error))
        release()
        if not self._silence.wait(lease.PATIENCE):
            raise HeldBack
        self.hold()

    def note_stall(self, problem: str) -> None:
        """Show on the page that it waits, and why.

        Raises:
            MoveFailed: it has waited for too long. What is past the switch, or is taken back, has
                no other way to end, so it waits until the registry answers.
        """
        since = self.move.stalled_since or utc_now()
        limit = FENCED_STALL_LIMIT if self.move.state in FENCED else STALL_LIMIT
        if self.move.state in CANCELLABLE and utc_now() - since >= limit:
            minutes = limit // timedelta(minutes=1)
            waited = f"{minutes // 60} hours" if minutes >= 60 else f"{minutes} minutes"
            raise MoveFailed(f"The registry did not answer for {waited}. {problem}")
        if problem != self.move.problem or self.move.stalled_since is None:
            self.change(problem=problem, stalled_since=since)

    def require_open(self) -> None:
        """Raise HeldBack while a fence stands around the whole registry."""
        if fenced(db.session(), EVERYWHERE) is not None:
            raise HeldBack

    def heed(self) -> None:
        """Raise Cancelled if somebody wished that, and it is not too late."""
        if self.move.cancel_wanted and self.move.state in CANCELLABLE:
            raise Cancelled

    def change(self, **values: Any) -> None:
        """Change the move, in a transaction of its own."""
        with writing() as session:
            self.write(session, **values)

    def note(self, row: MovedRepository, **values: Any) -> None:
        """Keep how far a repository is; what makes progress does not wait any longer."""
        progress = {"last_tag", "oldest_moment_id", "state"} & values.keys()
        with writing() as session:
            self.write(session, **(self._no_stall() if progress else {}))
            for name, value in values.items():
                setattr(row, name, value)

    def add_removal(self, row: MovedRepository, removal: Removal) -> None:
        """Store a removal, and that it is this repository's: one is not without the other."""
        with writing() as session:
            self.write(session)
            session.add(removal)
            session.flush()
            row.removal_id = removal.id

    def let_go(self) -> None:
        """Leave it to the next worker."""
        self.change(lease_until=None, lease_owner=None)

    def _no_stall(self) -> dict[str, Any]:
        self._silence.end()
        return {} if self.move.stalled_since is None else {"stalled_since": None, "problem": ""}

    def write(self, session: Session, **values: Any) -> None:
        """Change the move, and hold it for another while; LeaseLost changes nothing."""
        if "state" in values:
            values = self._no_stall() | values
        written = session.execute(
            update(Move)
            .where(Move.id == self.move.id, Move.lease_owner == self.owner)
            .values({"lease_until": utc_now() + LEASE, **values})
            .execution_options(synchronize_session=False)
        )
        if not written.rowcount:  # type: ignore[attr-defined]
            raise LeaseLost
        session.refresh(self.move)


def claim(move_id: int) -> Hold | None:
    """Take a move that has work to do; None where there is none, or another worker has it."""
    owner = secrets.token_hex(16)
    with writing() as session:
        claimed = session.execute(
            update(Move)
            .where(Move.id == move_id, Move.state.in_(ACTIVE), is_free())
            .values(lease_until=utc_now() + LEASE, lease_owner=owner)
            .execution_options(synchronize_session=False)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        return Hold(session.get_one(Move, move_id, populate_existing=True), owner)


def waiting() -> list[int]:
    """Return the moves with work to do that no living worker holds."""
    query = select(Move.id).where(Move.state.in_(ACTIVE), is_free()).order_by(Move.id)
    return list(db.session.scalars(query))


def is_free() -> Any:
    """Match the moves that no living worker holds."""
    return or_(Move.lease_until.is_(None), Move.lease_until < utc_now())
