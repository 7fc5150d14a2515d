"""The lease of a move: a temporary lock, so that only one worker carries out the move at a time."""

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
from ..operations.write_freeze import EVERYWHERE, find_freeze

#: How long a move waits for a registry that does not answer while pushes are stopped, over all
#: workers. After that it fails, so that pushes are possible again.
FROZEN_STALL_LIMIT = timedelta(minutes=15)
#: States in which a write freeze stops pushes to the source.
FROZEN_STATES = ("fenced", "settling", "verifying")
#: Columns of a repository that is being moved. A change to any of them shows progress.
PROGRESS_COLUMNS = frozenset({"last_tag", "oldest_moment_id", "state"})


@dataclass(slots=True)
class MoveLease(RegistryLease[Move]):
    """The lease that one worker holds on a move, and renews until the work is done."""

    @property
    def move(self) -> Move:
        """The move that this lease covers."""
        return self.row

    def check(self) -> None:
        """Raise an exception if the worker must not continue now.

        Raises:
            Canceled: a user canceled the move, and it has not been switched yet.
            Deferred: a write freeze covers the whole registry.
        """
        if self.row.cancel_wanted and self.row.state in CANCELLABLE:
            raise Canceled
        if find_freeze(db.session(), EVERYWHERE) is not None:
            raise Deferred

    def record_stall(self, problem: str) -> None:
        """Record why the move is waiting for the registry, to be shown on the move's page.

        Raises:
            OperationFailed: the move has waited too long. A move that has been switched, or whose
                copies are being removed, has no other way to end, so it waits until the registry
                answers.
        """
        since = self.row.stalled_since or utc_now()
        limit = FROZEN_STALL_LIMIT if self.row.state in FROZEN_STATES else STALL_LIMIT
        if self.row.state in CANCELLABLE and utc_now() - since >= limit:
            minutes = limit // timedelta(minutes=1)
            duration = f"{minutes // 60} hours" if minutes >= 60 else f"{minutes} minutes"
            raise OperationFailed(f"The registry did not answer for {duration}. {problem}")
        RegistryLease.record_stall(self, problem)

    def record_progress(self, row: MovedRepository, **values: Any) -> None:
        """Update columns of a moved repository.

        A change to one of PROGRESS_COLUMNS means that the move no longer waits for the registry.

        Args:
            row: the moved repository.
            values: columns of ``row`` and their new values.
        """
        with writing() as session:
            self.update(session, **(self._end_stall() if PROGRESS_COLUMNS & values.keys() else {}))
            for name, value in values.items():
                setattr(row, name, value)

    def add_removal(self, row: MovedRepository, removal: Removal) -> None:
        """Store a removal and link it to a moved repository in the same transaction."""
        with writing() as session:
            self.update(session)
            session.add(removal)
            session.flush()
            row.removal_id = removal.id

    def update(self, session: Session, **values: Any) -> None:
        """Change columns of the move within a transaction, and renew the lease.

        A change to ``state`` means that the move no longer waits for the registry.

        Raises:
            LeaseLost: another worker holds the move now; nothing is changed.
        """
        if "state" in values:
            values = self._end_stall() | values
        RegistryLease.update(self, session, **values)

    def _end_stall(self) -> dict[str, Any]:
        self._backoff.end()
        return {} if self.row.stalled_since is None else {"stalled_since": None, "problem": ""}


def claim(move_id: int) -> MoveLease | None:
    """Acquire the lease of a move; return None if there is no work or another worker has it."""
    with writing() as session:
        owner = acquire(session, Move, move_id, Move.state.in_(ACTIVE))
        if owner is None:
            return None
        return MoveLease(session.get_one(Move, move_id, populate_existing=True), owner)


def waiting() -> list[int]:
    """Return the IDs of moves that have work to do and are not leased by a live worker."""
    return free_work(Move, Move.state.in_(ACTIVE))
