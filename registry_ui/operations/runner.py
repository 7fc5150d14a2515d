"""Long work in the hands of workers: stored, claimed, carried out, cancelled, reported."""

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

#: How long a plan waits to be confirmed.
PLANNED_KEPT = timedelta(days=1)
ACTIVE = ("waiting", "running")
NEVER_ANSWERED = (
    f"the registry did not answer for {STALL_LIMIT // timedelta(hours=1)} hours; what was done "
    "before stays done"
)
ALONE = "the registry answers other requests, but not this one: {}"
CANCELLED = "it was cancelled; what was done before stays done"

#: Carries out one step of a plan; returns its outcome, and what there is to say of it.
Step = Callable[[int, Any], tuple[str, str]]


def carry_out(
    lease: OperationLease[Any],
    step: Step,
    bad: Collection[str] = (),
    undo: Callable[[], RegistryUnavailable | None] = lambda: None,
    answers: Callable[[Any], bool] = lambda _step: False,
) -> None:
    """Carry out a plan, or what is left of it.

    What fails for one object is reported, and the rest goes on. While the registry is silent,
    it is waited for; if that takes too long, the work is left for later.

    Args:
        bad: outcomes that are no reason to stop, but to say that it failed.
        answers: whether the registry answers other requests about the repository of a step: then
            a step that waited in vain fails alone.
        undo: undoes the step that a cancellation interrupts; returns why it can't yet, or None.
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
    """End canceled work, once the step that was interrupted is undone."""
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
    """Take one step, and keep its outcome; a registry that is silent is waited for."""
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
    """Return the outcome of a step; None if it must be taken again, after a wait.

    Raises:
        Stalled: the registry was waited for in vain.
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
    """Return the outcome of a step that waited in vain for a registry that answers otherwise.

    Raises:
        Stalled: it does not answer otherwise either.
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
    """Take work into one's hands; None if another has it, or writes are frozen.

    Args:
        except_fence_id: a write freeze that does not count: that of whoever needs the work.
        timeout: seconds for which a registry that is silent is waited for; the usual for None.
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
    """Return the work that no living worker holds."""
    return free_work(model, model.state.in_(ACTIVE))


def stopped(
    session: Session, model: type[Operation], work_id: int, *, except_fence_id: int | None = None
) -> Fenced | None:
    """Return the fence that work which has not ended waits for, if one does."""
    query = select(model.target).where(model.id == work_id, model.state.in_(ACTIVE))
    target = session.scalar(query)
    return (
        None
        if target is None
        else fenced(session, target.partition(":")[0], except_fence_id=except_fence_id)
    )


def cancel(actor: Actor, model: type[AnyWork], work_id: int) -> AnyWork:
    """Stop work before its next step; what no worker is in the middle of is cancelled at once.

    Raises:
        NotFound: there is none.
        StateConflict: it has ended already.
    """
    with writing() as session:
        work = session.get(model, work_id, with_for_update=True, populate_existing=True)
        if work is None:
            raise NotFound
        if work.state not in {"planned", *ACTIVE}:
            raise StateConflict("This has ended already.")
        work.cancel_wanted = True
        # A worker ends what was begun: a tag may stand for a placeholder.
        if work.state != "running" and not _is_begun(session, work):
            work.state, work.finished_at = "cancelled", utc_now()
        record(session, actor, f"{work.deed}.cancel", work.target)
        return work


def _is_begun(session: Session, work: Operation) -> bool:
    """Return whether a worker left in the middle of a step."""
    line = LINES[type(work)]
    query = select(line.number).where(line.work_id == work.id, line.outcome.is_(None)).limit(1)
    return session.execute(query).first() is not None


def lines_of(work: Operation, limit: int, good: Collection[str]) -> list[OperationStep]:
    """Return the newest lines of a report: what went wrong first, then the rest.

    Args:
        good: the outcomes of what went as planned.
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
    """Return how many steps ended how."""
    line = LINES[type(work)]
    query = (
        select(line.outcome, func.count())
        .where(line.work_id == work.id, line.outcome.is_not(None))
        .group_by(line.outcome)
        .order_by(line.outcome)
    )
    return dict(db.session.execute(query).all())


def delete_expired_plans(session: Session, model: type[Operation]) -> None:
    """Forget plans that nobody confirmed in time."""
    old = model.created_at < utc_now() - PLANNED_KEPT
    session.execute(
        delete(model)
        .where(model.state == "planned", old)
        .execution_options(synchronize_session=False)
    )
