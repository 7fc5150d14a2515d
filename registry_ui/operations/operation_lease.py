"""Lease on a removal or a copy: a stored plan that a worker carries out step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..db.session import db, end_read, writing
from ..models import Copy, CopyLine, Operation, PlanStep, Removal, RemovalLine, utc_now
from .errors import Canceled, Deferred
from .lease import RegistryLease
from .write_freeze import find_freeze

AnyWork = TypeVar("AnyWork", bound=Operation)

#: Model of the report lines for each kind of operation. A line reports the outcome of one step.
LINE_MODELS: dict[type[Operation], Any] = {Removal: RemovalLine, Copy: CopyLine}
#: Minimum time in seconds that a step waited for the registry, if the report is to mention it.
MIN_REPORTED_WAIT = 1.0


@dataclass(slots=True)
class OperationLease(RegistryLease[AnyWork]):
    """A lease on a removal or a copy, which also records its progress."""

    #: The plan is left out, because it never changes and can be long.
    REFRESHED: ClassVar = (
        "state",
        "done",
        "cancel_wanted",
        "finished_at",
        "problem",
        "stalled_since",
    )

    #: Id of a write freeze to ignore: the freeze set by the operation that started this work.
    except_freeze_id: int | None = None
    _repository: str = ""
    _wait_seconds: float = 0.0
    _ignores_cancellation: bool = False

    @property
    def work(self) -> AnyWork:
        """The removal or copy that is carried out."""
        return self.row

    def begin_step(self, repository: str) -> None:
        """Begin or continue a step in a repository; raise Canceled or Deferred like check()."""
        self._repository = repository
        self._check()

    def check(self) -> None:
        """Raise Canceled if cancellation was requested, or Deferred during a write freeze.

        Only a freeze of the current step's repository counts. Neither error is raised within
        ignoring_cancellation(), whose task must not be left half done.
        """
        if not self._ignores_cancellation:
            self._check()

    def _check(self) -> None:
        if self.row.cancel_wanted:
            raise Canceled
        freeze = find_freeze(db.session(), self._repository, except_freeze_id=self.except_freeze_id)
        end_read()
        if freeze is not None:
            raise Deferred

    @contextmanager
    def ignoring_cancellation(self) -> Iterator[None]:
        """Suppress cancellation and write freezes for a short task that must be completed."""
        self._ignores_cancellation = True
        try:
            yield
        finally:
            self._ignores_cancellation = False

    def record_answer(self) -> None:
        """Record that the registry answers, and add the time of the wait to the current step."""
        self._wait_seconds += self._backoff.end()
        if self.row.stalled_since is not None:
            self.change(problem="", stalled_since=None)

    def write(self, change: Callable[[Session], None]) -> None:
        """Apply a change to the database and renew the lease, in one transaction.

        Args:
            change: function that makes the change in the given session.

        Raises:
            LeaseLost: the lease is now held by a different worker; nothing is written.
        """
        with writing() as session:
            self.update(session)
            change(session)
        self._renewed_at = time.monotonic()

    def record_outcome(self, number: int, step: PlanStep, outcome: str, detail: str) -> None:
        """Record the outcome of a step, and how long it waited for the registry."""
        self.record_answer()
        if self._wait_seconds >= MIN_REPORTED_WAIT:
            note = f"waited {self._wait_seconds:.0f} s for the registry"
            detail = f"{detail}; {note}" if detail else note
        self._wait_seconds = 0.0
        with writing() as session:
            self.update(session, done=number + 1, problem="")
            line = self._get_or_add_line(session, number, step)
            line.outcome, line.detail = outcome, detail
        self._renewed_at = time.monotonic()

    def defer(self, problem: str = "") -> None:
        """Release the lease, so that a worker continues the operation later.

        Args:
            problem: reason why the operation waits for the registry, shown on its page; "" if it
                waits for something else.
        """
        since = (self.row.stalled_since or utc_now()) if problem else None
        self.release(state="waiting", problem=problem, stalled_since=since)

    def finish(self, state: str) -> None:
        """Record the final state of the operation, in the audit log too, and release the lease.

        Args:
            state: ``done``, ``failed``, or ``cancelled``.
        """
        with writing() as session:
            self.update(
                session,
                state=state,
                problem="",
                stalled_since=None,
                finished_at=utc_now(),
                lease_until=None,
                lease_owner=None,
            )
            actor = Actor(self.row.requested_by)
            record(session, actor, f"{self.row.audit_action}.{state}", self.row.target)

    def _get_or_add_line(self, session: Session, number: int, step: PlanStep) -> Any:
        model = LINE_MODELS[type(self.row)]
        line = session.get(model, (self.row.id, number))
        if line is None:
            line = model(work_id=self.row.id, number=number, reference=step.reference, detail="")
            session.add(line)
        return line
