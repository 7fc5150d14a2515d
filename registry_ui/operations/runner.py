"""Runner of stored long-running work: claim it, carry it out, cancel it, and report."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..access import Fenced
from ..audit import Actor, record
from ..db.session import db, writing
from ..distribution.errors import RegistryTimeout, RegistryUnavailable
from ..errors import NotFound, StateConflict
from ..models import Operation, OperationStep, PlanStep, utc_now
from .errors import SILENT, Canceled, Deferred, OperationFailed, Stalled, StepFailed
from .lease import STALL_LIMIT, acquire, free_work
from .operation_lease import LINES, AnyWork, OperationLease
from .write_freeze import fenced

#: How long a plan is kept for confirmation.
PLANNED_KEPT = timedelta(days=1)
ACTIVE = ("waiting", "running")
NEVER_ANSWERED = (
    f"the registry did not answer for {STALL_LIMIT // timedelta(hours=1)} hours; what was done "
    "before stays done"
)
ALONE = "the registry answers other requests, but not this one: {}"
CANCELLED = "it was cancelled; what was done before stays done"

#: Function that carries out a step of a plan. Arguments: the number of the step, and the step.
#: Returns its outcome and a detail.
Step = Callable[[int, Any], tuple[str, str]]


def carry_out(
    lease: OperationLease[Any],
    step: Step,
    bad: Collection[str] = (),
    undo: Callable[[], RegistryUnavailable | None] = lambda: None,
    answers: Callable[[Any], bool] = lambda _step: False,
) -> None:
    """Carry out a plan, or the rest of it.

    A failed step is reported, and the other steps continue. While the registry does not answer, it
    is waited for; if that takes too long, the work is deferred.

    Args:
        step: function that carries out one step.
        bad: outcomes that don't stop the work, but make it end as failed.
        undo: undoes the step that a cancellation interrupts; returns the error if it can't yet.
        answers: returns whether the registry answers other requests about the repository of a step.
            If so, only the step that timed out fails.
    """
    work = lease.work
    plan = work.plan
    try:
        while work.done < len(plan):
            _take(lease, step, work.done, answers)
        lease.finish("failed" if outcomes_of(work).keys() & {"failed", *bad} else "done")
    except OperationFailed as failure:
        lease.record_outcome(work.done, plan[work.done], "failed", str(failure))
        lease.finish("failed")
    except Stalled as stalled:
        if lease.has_stalled_too_long:
            lease.record_outcome(work.done, plan[work.done], "failed", NEVER_ANSWERED)
            lease.finish("failed")
        else:
            lease.defer(str(stalled))
    except Canceled:
        _cancel(lease, undo)
    except Deferred:
        lease.defer()


def _cancel(lease: OperationLease[Any], undo: Callable[[], RegistryUnavailable | None]) -> None:
    """End canceled work after undoing the step that was interrupted."""
    with lease.ignoring_cancellation():
        problem = undo()
    if problem is not None and not lease.has_stalled_too_long:
        lease.defer(SILENT.format(problem))
        return
    work = lease.work
    lease.record_outcome(work.done, work.plan[work.done], "cancelled", CANCELLED)
    lease.finish("cancelled")


def _take(
    lease: OperationLease[Any], step: Step, number: int, answers: Callable[[Any], bool]
) -> None:
    """Carry out one step and record its outcome, or wait if the registry does not answer."""
    planned = lease.work.plan[number]
    lease.begin_step(planned.repository)
    try:
        taken = _attempt(lease, step, number, planned)
    except Stalled as stalled:
        taken = _failed_alone(lease, planned, stalled, answers)
    if taken is not None:
        lease.record_outcome(number, planned, *taken)


def _attempt(
    lease: OperationLease[Any], step: Step, number: int, planned: PlanStep
) -> tuple[str, str] | None:
    """Return the outcome of a step, or None if it must be repeated after a wait.

    Raises:
        Stalled: the registry has not answered for too long.
    """
    try:
        return step(number, planned)
    except OperationFailed:
        raise
    except StepFailed as failure:
        return "failed", str(failure)
    except RegistryUnavailable as error:
        lease.wait_for_registry(error)
        return None


def _failed_alone(
    lease: OperationLease[Any],
    step: PlanStep,
    stalled: Stalled,
    answers: Callable[[Any], bool],
) -> tuple[str, str]:
    """Return ``failed`` for a step that timed out, if the registry answers other requests.

    Raises:
        Stalled: the registry does not answer other requests either.
    """
    if not isinstance(stalled.error, RegistryTimeout) or not answers(step):
        raise stalled
    lease.record_answer()
    return "failed", ALONE.format(stalled.error)


def claim(
    model: type[AnyWork],
    work_id: int,
    *,
    except_fence_id: int | None = None,
    timeout: float | None = None,
) -> OperationLease[AnyWork] | None:
    """Claim work and return its lease; None if another worker has it or writes are frozen.

    Args:
        except_fence_id: id of a write freeze to ignore: that of the operation that needs the work.
        timeout: seconds to wait for a registry that does not answer; None for PATIENCE.
    """
    with writing() as session:
        if stopped(session, model, work_id, except_fence_id=except_fence_id) is not None:
            return None
        owner = acquire(session, model, work_id, model.state.in_(ACTIVE), state="running")
        if owner is None:
            return None
        work = session.get_one(model, work_id, populate_existing=True)
        return OperationLease(work, owner, timeout=timeout, except_fence_id=except_fence_id)


def waiting(model: type[Operation]) -> list[int]:
    """Return the ids of unfinished work that no living worker holds."""
    return free_work(model, model.state.in_(ACTIVE))


def stopped(
    session: Session, model: type[Operation], work_id: int, *, except_fence_id: int | None = None
) -> Fenced | None:
    """Return the write freeze that unfinished work is waiting for, or None."""
    query = select(model.target).where(model.id == work_id, model.state.in_(ACTIVE))
    target = session.scalar(query)
    return (
        None
        if target is None
        else fenced(session, target.partition(":")[0], except_fence_id=except_fence_id)
    )


def cancel(actor: Actor, model: type[AnyWork], work_id: int) -> AnyWork:
    """Cancel work before its next step, or at once if no worker has begun a step.

    Raises:
        NotFound: there is no such work.
        StateConflict: it has already ended.
    """
    with writing() as session:
        work = session.get(model, work_id, with_for_update=True, populate_existing=True)
        if work is None:
            raise NotFound
        if work.state not in {"planned", *ACTIVE}:
            raise StateConflict("This has ended already.")
        work.cancel_wanted = True
        # A worker completes or undoes a step that was begun: its tag can point to a placeholder.
        if work.state != "running" and not _is_begun(session, work):
            work.state, work.finished_at = "cancelled", utc_now()
        record(session, actor, f"{work.deed}.cancel", work.target)
        return work


def _is_begun(session: Session, work: Operation) -> bool:
    """Return whether a worker stopped in the middle of a step."""
    line = LINES[type(work)]
    query = select(line.number).where(line.work_id == work.id, line.outcome.is_(None)).limit(1)
    return session.execute(query).first() is not None


def lines_of(work: Operation, limit: int, good: Collection[str]) -> list[OperationStep]:
    """Return the newest lines of a report, with unsuccessful steps first.

    Args:
        limit: maximum number of lines.
        good: outcomes of steps that went as planned.
    """
    line = LINES[type(work)]
    query = (
        select(line)
        .where(line.work_id == work.id, line.outcome.is_not(None))
        .order_by(line.outcome.in_(good), line.number.desc())
        .limit(limit)
    )
    return list(db.session.scalars(query))


def outcomes_of(work: Operation) -> dict[str, int]:
    """Return the number of finished steps for each outcome."""
    line = LINES[type(work)]
    query = (
        select(line.outcome, func.count())
        .where(line.work_id == work.id, line.outcome.is_not(None))
        .group_by(line.outcome)
        .order_by(line.outcome)
    )
    return dict(db.session.execute(query).all())


def delete_expired_plans(session: Session, model: type[Operation]) -> None:
    """Delete plans that were not confirmed in time."""
    old = model.created_at < utc_now() - PLANNED_KEPT
    session.execute(
        delete(model)
        .where(model.state == "planned", old)
        .execution_options(synchronize_session=False)
    )
