"""Leases: one worker at a time holds a row of work (an operation), and renews its lease on the row.

If a worker dies, its lease expires, and a different worker continues the work.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from ..db.session import db, end_read, writing
from ..db.statements import update_count
from ..distribution.errors import RegistryError
from ..models import Leased, Stallable, utc_now
from .errors import SILENT, Canceled, LeaseLost, Stalled

Row = TypeVar("Row", bound=Leased)
StallableRow = TypeVar("StallableRow", bound=Stallable)

#: How long a lease lasts after it was renewed. After that, any worker can acquire it.
LEASE_DURATION = timedelta(seconds=30)
#: Minimum time in seconds between two renewals.
RENEW_INTERVAL = 5.0
#: Timeout in seconds for waiting until the registry answers, after which the work is deferred, and
#: the maximum pause in seconds between two attempts.
REGISTRY_TIMEOUT, MAX_PAUSE = 60.0, 5.0
#: Length in seconds of the first pause between two attempts.
FIRST_PAUSE = 0.5
#: Maximum time that work waits for the registry, in total over all its workers. After that, the
#: work fails, because users do not expect it to continue days later.
STALL_LIMIT = timedelta(hours=24)


@dataclass(slots=True)
class Backoff:
    """Backoff timer of a worker that waits for a registry that does not answer.

    ``since`` is the monotonic time in seconds when the wait began; None while it does not wait.
    """

    since: float | None = None
    _pause: float = 0.0

    def wait(self, timeout: float) -> bool:
        """Pause before the next attempt, each time for longer; return False if the timeout is over.

        Args:
            timeout: total number of seconds to wait since the first pause.
        """
        now = time.monotonic()
        if self.since is None:
            self.since, self._pause = now, FIRST_PAUSE
        remaining = self.since + timeout - now
        if remaining <= 0:
            return False
        time.sleep(min(self._pause, remaining))
        self._pause = min(2 * self._pause, MAX_PAUSE)
        return True

    def end(self) -> float:
        """Reset the timer because the registry answers; return how many seconds the wait took."""
        since, self.since = self.since, None
        return 0.0 if since is None else time.monotonic() - since


@dataclass(slots=True)
class Lease(Generic[Row]):
    """A lease: the exclusive right of one worker to carry out a row of work, for a limited time.

    ``owner`` is the random ID of the worker, which is also stored in the row.
    """

    #: Columns of the row that are reloaded after each change; None for all columns.
    REFRESHED: ClassVar[tuple[str, ...] | None] = None

    row: Row
    owner: str
    _renewed_at: float = field(default_factory=time.monotonic)

    def renew(self, **values: Any) -> None:
        """Renew the lease if that is due. This is cheap enough to do before every registry call.

        Args:
            values: columns to change if the lease is renewed.

        Raises:
            LeaseLost: the lease is now held by a different worker.
            Canceled: cancellation of the work was requested.
            Deferred: the work has to wait.
        """
        if self.keep(**values):
            self.check()

    def keep(self, **values: Any) -> bool:
        """Renew the lease if due, even if the work was canceled; return whether a renewal was due.

        Args:
            values: columns to change if the lease is renewed.

        Raises:
            LeaseLost: the lease is now held by a different worker.
        """
        if time.monotonic() - self._renewed_at < RENEW_INTERVAL:
            return False
        self.change(**values)
        self._renewed_at = time.monotonic()
        return True

    def check(self) -> None:
        """Raise Canceled if cancellation was requested. A subclass can raise Deferred, too."""
        if self.row.cancel_wanted:
            raise Canceled

    def change(self, **values: Any) -> None:
        """Change columns of the row in a separate transaction, and renew the lease.

        Raises:
            LeaseLost: the lease is now held by a different worker; nothing is changed.
        """
        with writing() as session:
            self.update(session, **values)

    def update(self, session: Session, **values: Any) -> None:
        """Change columns of the row within the caller's transaction, and renew the lease.

        Raises:
            LeaseLost: the lease is now held by a different worker; nothing is changed.
        """
        model = type(self.row)
        statement = (
            update(model)
            .where(model.id == self.row.id, model.lease_owner == self.owner)
            .values({"lease_until": utc_now() + LEASE_DURATION, **values})
        )
        if not update_count(session, statement):
            raise LeaseLost
        session.refresh(self.row, self.REFRESHED)

    def release(self, **values: Any) -> None:
        """Release the lease, so that any worker can continue the work if it has not ended.

        Args:
            values: columns to change in the same statement.
        """
        self.change(lease_until=None, lease_owner=None, **values)


@dataclass(slots=True)
class RegistryLease(Lease[StallableRow]):
    """A lease on work that waits while the registry does not answer."""

    #: Timeout in seconds for waiting until the registry answers; None for REGISTRY_TIMEOUT.
    timeout: float | None = None
    _backoff: Backoff = field(default_factory=Backoff)

    def wait_for_registry(self, error: RegistryError) -> None:
        """Pause before a failed registry call is repeated, each time for longer.

        Raises:
            Stalled: the registry has not answered for too long.
            LeaseLost: the lease is now held by a different worker.
            Canceled: cancellation of the work was requested.
            Deferred: the work has to wait for something else.
        """
        self.record_stall(SILENT.format(error))
        end_read()
        if not self._backoff.wait(REGISTRY_TIMEOUT if self.timeout is None else self.timeout):
            raise Stalled(error)
        self.renew()

    def record_stall(self, problem: str) -> None:
        """Record why the work waits, and since when, unless that time is already recorded."""
        if problem != self.row.problem or self.row.stalled_since is None:
            self.change(problem=problem, stalled_since=self.row.stalled_since or utc_now())

    @property
    def has_stalled_too_long(self) -> bool:
        """Whether the work has waited for the registry for STALL_LIMIT or longer."""
        since = self.row.stalled_since
        return since is not None and utc_now() - since >= STALL_LIMIT


def acquire(
    session: Session,
    model: type[Leased],
    row_id: int,
    *conditions: ColumnElement[bool],
    **values: Any,
) -> str | None:
    """Acquire the lease on a row of work, unless a living worker holds it.

    Args:
        conditions: further conditions that the row must meet.
        values: columns to change in the same statement.

    Returns:
        The owner ID of the new lease, or None if a worker holds the row or a condition is not met.
    """
    owner = secrets.token_hex(16)
    statement = (
        update(model)
        .where(model.id == row_id, *conditions, is_free(model))
        .values(lease_until=utc_now() + LEASE_DURATION, lease_owner=owner, **values)
    )
    return owner if update_count(session, statement) else None


def free_work(model: type[Leased], *conditions: ColumnElement[bool]) -> list[int]:
    """Return the ids of the rows that no living worker holds, in ascending order.

    Args:
        conditions: further conditions that the rows must meet.
    """
    query = select(model.id).where(*conditions, is_free(model)).order_by(model.id)
    return list(db.session.scalars(query))


def is_free(model: type[Leased]) -> ColumnElement[bool]:
    """Return the SQL condition for rows that no living worker holds."""
    return or_(model.lease_until.is_(None), model.lease_until < utc_now())
