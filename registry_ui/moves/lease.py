"""The lease of a move: in the hands of one worker, who continues phase by phase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from ..db.session import db, writing
from ..models import Move, MovedRepository, Removal, utc_now
from ..models.move import ACTIVE, CANCELLABLE
from ..operations.errors import Canceled, Deferred, OperationFailed
from ..operations.lease import STALL_LIMIT, RegistryLease, acquire, free_work
from ..operations.write_freeze import EVERYWHERE, fenced

#: How long a move waits for a registry that does not answer, over all its workers, while nobody
#: can push. Then it stops, so that they can push again.
FENCED_STALL_LIMIT = timedelta(minutes=15)
#: States in which nobody can push to what moves.
FENCED = ("fenced", "settling", "verifying")
#: Columns of a repository whose change shows that the move makes progress.
PROGRESS = frozenset({"last_tag", "oldest_moment_id", "state"})


@dataclass(slots=True)
class MoveLease(RegistryLease[Move]):
    """A move in the hands of one worker."""

    @property
    def move(self) -> Move:
        """The move."""
        return self.row

    def check(self) -> None:
        """Raise Canceled if somebody wished that in time, Deferred if all writes are frozen."""
        if self.row.cancel_wanted and self.row.state in CANCELLABLE:
            raise Canceled
        if fenced(db.session(), EVERYWHERE) is not None:
            raise Deferred

    def record_stall(self, problem: str) -> None:
        """Show on the page that it waits, and why.

        Raises:
            OperationFailed: it has waited for too long. A move that is past the switch, or is taken
                back, has no other way to end, so it waits until the registry answers.
        """
        since = self.row.stalled_since or utc_now()
        limit = FENCED_STALL_LIMIT if self.row.state in FENCED else STALL_LIMIT
        if self.row.state in CANCELLABLE and utc_now() - since >= limit:
            minutes = limit // timedelta(minutes=1)
            waited = f"{minutes // 60} hours" if minutes >= 60 else f"{minutes} minutes"
            raise OperationFailed(f"The registry did not answer for {waited}. {problem}")
        RegistryLease.record_stall(self, problem)

    def record_progress(self, row: MovedRepository, **values: Any) -> None:
        """Record how far a repository is; a move that makes progress does not wait anymore."""
        with writing() as session:
            self.update(session, **(self._end_stall() if PROGRESS & values.keys() else {}))
            for name, value in values.items():
                setattr(row, name, value)

    def add_removal(self, row: MovedRepository, removal: Removal) -> None:
        """Store a removal, and that it is this repository's: one is not without the other."""
        with writing() as session:
            self.update(session)
            session.add(removal)
            session.flush()
            row.removal_id = removal.id

    def update(self, session: Session, **values: Any) -> None:
        """Change the move, as Lease.update(); a move that changes its state makes progress."""
        if "state" in values:
            values = self._end_stall() | values
        RegistryLease.update(self, session, **values)

    def _end_stall(self) -> dict[str, Any]:
        self._silence.end()
        return {} if self.row.stalled_since is None else {"stalled_since": None, "problem": ""}


def claim(move_id: int) -> MoveLease | None:
    """Take a move that has work to do; None if it has none, or another worker holds it."""
    with writing() as session:
        owner = acquire(session, Move, move_id, Move.state.in_(ACTIVE))
        if owner is None:
            return None
        return MoveLease(session.get_one(Move, move_id, populate_existing=True), owner)


def waiting() -> list[int]:
    """Return the moves with work to do that no living worker holds."""
    return free_work(Move, Move.state.in_(ACTIVE))
