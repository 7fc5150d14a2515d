"""Work in the hands of one worker, until that stops renewing its lease."""

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

#: How long a worker holds work after it renewed the lease; then another can take it.
LEASE = timedelta(seconds=30)
#: Seconds between two renewals.
RENEW_SECONDS = 5.0
#: Seconds for which a worker waits for a registry that is silent, before the work is left for
#: later; and the longest pause between two attempts.
PATIENCE, LONGEST_PAUSE = 60.0, 5.0
#: Seconds of the first pause.
FIRST_PAUSE = 0.5
#: How long work waits for a registry that does not answer, over all its workers. Then it ends as
#: failed, because nobody expects it to continue days later.
STALL_LIMIT = timedelta(hours=24)


@dataclass(slots=True)
class Silence:
    """How long a worker has waited for a registry that does not answer."""

    since: float | None = None
    _pause: float = 0.0

    def wait(self, timeout: float) -> bool:
        """Pause before the next attempt, each time for longer; return False after too long."""
        now = time.monotonic()
        if self.since is None:
            self.since, self._pause = now, FIRST_PAUSE
        left = self.since + timeout - now
        if left <= 0:
            return False
        time.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True

    def end(self) -> float:
        """Note that it answers; return for how many seconds it was waited for."""
        since, self.since = self.since, None
        return 0.0 if since is None else time.monotonic() - since


@dataclass(slots=True)
class Lease(Generic[Row]):
    """A row of work in the hands of one worker."""

    #: The columns that are read again after each change; all of them by default.
    REFRESHED: ClassVar[tuple[str, ...] | None] = None

    row: Row
    owner: str
    _renewed_at: float = field(default_factory=time.monotonic)

    def renew(self, **values: Any) -> None:
        """Renew the lease, at most once in a few seconds: it can be called before every call.

        Args:
            values: columns to change when it is renewed.

        Raises:
            LeaseLost: another worker holds the work now.
            Canceled, Deferred: as check().
        """
        if self.keep(**values):
            self.check()

    def keep(self, **values: Any) -> bool:
        """Renew the lease as renew(), but without check(); return whether it was time for that."""
        if time.monotonic() - self._renewed_at < RENEW_SECONDS:
            return False
        self.change(**values)
        self._renewed_at = time.monotonic()
        return True

    def check(self) -> None:
        """Raise Canceled if somebody wished that, or Deferred if the work has to wait."""
        if self.row.cancel_wanted:
            raise Canceled

    def change(self, **values: Any) -> None:
        """Change columns, in a transaction of its own; raise LeaseLost as update()."""
        with writing() as session:
            self.update(session, **values)

    def update(self, session: Session, **values: Any) -> None:
        """Change columns within a transaction, and hold the work for another while.

        Raises:
            LeaseLost: another worker holds the work now; nothing is changed.
        """
        model = type(self.row)
        statement = (
            update(model)
            .where(model.id == self.row.id, model.lease_owner == self.owner)
            .values({"lease_until": utc_now() + LEASE, **values})
        )
        if not update_count(session, statement):
            raise LeaseLost
        session.refresh(self.row, self.REFRESHED)

    def release(self, **values: Any) -> None:
        """Leave the work to another worker, or to nobody if it has ended.

        Args:
            values: columns to change with that.
        """
        self.change(lease_until=None, lease_owner=None, **values)


@dataclass(slots=True)
class RegistryLease(Lease[StallableRow]):
    """A lease of work that waits while the registry is silent."""

    #: Seconds for which a registry that is silent is waited for; PATIENCE for None.
    timeout: float | None = None
    _silence: Silence = field(default_factory=Silence)

    def wait_for_registry(self, error: RegistryError) -> None:
        """Pause before a call that failed is made again, each time for longer.

        Raises:
            Stalled: it was silent for too long.
            LeaseLost, Canceled, Deferred: as renew().
        """
        self.record_stall(SILENT.format(error))
        end_read()
        if not self._silence.wait(PATIENCE if self.timeout is None else self.timeout):
            raise Stalled(error)
        self.renew()

    def record_stall(self, problem: str) -> None:
        """Show on the page that it waits, and why; the time counts from the first worker's wait."""
        if problem != self.row.problem or self.row.stalled_since is None:
            self.change(problem=problem, stalled_since=self.row.stalled_since or utc_now())

    @property
    def has_stalled_too_long(self) -> bool:
        """Whether it has waited for the registry for longer than anyone expects."""
        since = self.row.stalled_since
        return since is not None and utc_now() - since >= STALL_LIMIT


def acquire(
    session: Session,
    model: type[Leased],
    row_id: int,
    *conditions: ColumnElement[bool],
    **values: Any,
) -> str | None:
    """Take work that no living worker holds.

    Args:
        conditions: what else must hold for the row.
        values: columns to change with that.

    Returns:
        The owner for a lease; None if another worker has the work, or the conditions don't hold.
    """
    owner = secrets.token_hex(16)
    statement = (
        update(model)
        .where(model.id == row_id, *conditions, is_free(model))
        .values(lease_until=utc_now() + LEASE, lease_owner=owner, **values)
    )
    return owner if update_count(session, statement) else None


def free_work(model: type[Leased], *conditions: ColumnElement[bool]) -> list[int]:
    """Return the ids of the work that no living worker holds, in order."""
    query = select(model.id).where(*conditions, is_free(model)).order_by(model.id)
    return list(db.session.scalars(query))


def is_free(model: type[Leased]) -> ColumnElement[bool]:
    """Return the condition that no living worker holds a row."""
    return or_(model.lease_until.is_(None), model.lease_until < utc_now())
