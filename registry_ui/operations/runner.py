"""Run stored removals and copies: lease them, carry them out, cancel them, and report on them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..access import ActiveFreeze
from ..audit import Actor, record
from ..db.session import db, writing
from ..distribution.errors import RegistryTimeout, RegistryUnavailable
from ..errors import NotFound, StateConflict
from ..models import Operation, OperationStep, PlanStep, utc_now
from .errors import SILENT, Canceled, Deferred, OperationFailed, Stalled, StepFailed
from .lease import STALL_LIMIT, acquire, free_work
from .operation_lease import LINE_MODELS, AnyWork, OperationLease
from .write_freeze import find_freeze

AnyLease = TypeVar("AnyLease", bound=OperationLease[Any])

#: How long a plan that has not been confirmed is kept.
PLAN_LIFETIME = timedelta(days=1)
ACTIVE = ("waiting", "running")
NEVER_ANSWERED = (
    f"the registry did not answer for {STALL_LIMIT // timedelta(hours=1)} hours; what was done "
    "before stays done"
)
STEP_UNANSWERED = "the registry answers other requests, but not this one: {}"
CANCELED = "it was canceled; what was done before stays done"

#: Function that carries out a step of a plan. Arguments: the number of the step, and the step.
#: Returns its outcome and a detail.
Step = Callable[[int, Any], tuple[str, str]]


def carry_out(
    lease: OperationLease[Any],
    step: Step,
    failed_outcomes: Collection[str] = (),
    undo: Callable[[], RegistryUnavailable | None] = lambda: None,
    is_answering: Callable[[Any], bool] = lambda _step: False,
) -> None:
    """Carry out the remaining steps of a removal's or copy's plan, and record the result.

    A failed step is reported, and the other steps continue. While the registry does not answer, the
    step is repeated after pauses; if that takes too long, the operation is deferred.

    Args:
        step: function that carries out one step.
        failed_outcomes: outcomes of steps that don't stop the operation, but make it end as failed.
        undo: function that undoes the step that a cancellation interrupts. It returns None, or the
            error if the registry does not allow that yet.
        is_answering: function that returns whether the registry answers other requests about the
            repository of a step. If so, only the step that timed out fails.
    """
    work = lease.work
    plan = work.plan
    try:
        while work.done < len(plan):
            _run_step(lease, step, work.done, is_answering)
        has_failed = bool(outcomes_of(work).keys() & {"failed", *failed_outcomes})
        lease.finish("failed" if has_failed else "done")
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
    """Undo the interrupted step of a canceled operation, and end the operation.

    The operation is deferred instead if the registry does not allow the step to be undone yet.
    """
    with lease.ignoring_cancellation():
        problem = undo()
    if problem is not None and not lease.has_stalled_too_long:
        lease.defer(SILENT.format(problem))
        return
    work = lease.work
    lease.record_outcome(work.done, work.plan[work.done], "cancelled", CANCELED)
    lease.finish("cancelled")


def _run_step(
    lease: OperationLease[Any], step: Step, number: int, is_answering: Callable[[Any], bool]
) -> None:
    """Carry out one step and record its outcome, or wait if the registry does not answer."""
    planned_step = lease.work.plan[number]
    lease.begin_step(planned_step.repository)
    try:
        result = _attempt_step(lease, step, number, planned_step)
    except Stalled as stalled:
        result = _fail_step(lease, planned_step, stalled, is_answering)
    if result is not None:
        lease.record_outcome(number, planned_step, *result)


def _attempt_step(
    lease: OperationLease[Any], step: Step, number: int, planned_step: PlanStep
) -> tuple[str, str] | None:
    """Carry out a step; return its outcome and detail, or None if the step must be repeated.

    Raises:
        Stalled: the registry has not answered for too long.
    """
    try:
        return step(number, planned_step)
    except OperationFailed:
        raise
    except StepFailed as failure:
        return "failed", str(failure)
    except RegistryUnavailable as error:
        lease.wait_for_registry(error)
        return None


def _fail_step(
    lease: OperationLease[Any],
    step: PlanStep,
    stalled: Stalled,
    is_answering: Callable[[Any], bool],
) -> tuple[str, str]:
    """Return the outcome ``failed`` and the detail for a step that timed out.

    Raises:
        Stalled: the registry does not answer other requests either.
    """
    if not isinstance(stalled.error, RegistryTimeout) or not is_answering(step):
        raise stalled
    lease.record_answer()
    return "failed", STEP_UNANSWERED.format(stalled.error)


def claim(
    lease_class: Callable[..., AnyLease],
    model: type[Operation],
    work_id: int,
    *,
    except_freeze_id: int | None = None,
    timeout: float | None = None,
) -> AnyLease | None:
    """Lease a removal or copy to carry it out; return None if it can't be leased now.

    It can't be leased if a worker holds the lease, if it has ended, or if a write freeze covers the
    path that it changes.

    Args:
        lease_class: class of the lease to return.
        model: database model of removals or of copies.
        work_id: id of the removal or copy.
        except_freeze_id: id of a write freeze to ignore: the one set by the operation that started
            this work.
        timeout: how long in seconds to keep trying while the registry does not answer; None for
            REGISTRY_TIMEOUT.
    """
    with writing() as session:
        if (
            find_blocking_freeze(session, model, work_id, except_freeze_id=except_freeze_id)
            is not None
        ):
            return None
        owner = acquire(session, model, work_id, model.state.in_(ACTIVE), state="running")
        if owner is None:
            return None
        work = session.get_one(model, work_id, populate_existing=True)
        return lease_class(work, owner, timeout=timeout, except_freeze_id=except_freeze_id)


def waiting(model: type[Operation]) -> list[int]:
    """Return the ids of unfinished removals or copies that no living worker has leased."""
    return free_work(model, model.state.in_(ACTIVE))


def find_blocking_freeze(
    session: Session, model: type[Operation], work_id: int, *, except_freeze_id: int | None = None
) -> ActiveFreeze | None:
    """Return the write freeze that an unfinished removal or copy is waiting for, or None."""
    query = select(model.target).where(model.id == work_id, model.state.in_(ACTIVE))
    target = session.scalar(query)
    return (
        None
        if target is None
        else find_freeze(session, target.partition(":")[0], except_freeze_id=except_freeze_id)
    )


def cancel(actor: Actor, model: type[AnyWork], work_id: int) -> AnyWork:
    """Cancel a removal or copy before its next step, or at once if no step is in progress.

    Raises:
        NotFound: there is no removal or copy with this id.
        StateConflict: the removal or copy has already ended.
    """
    with writing() as session:
        work = session.get(model, work_id, with_for_update=True, populate_existing=True)
        if work is None:
            raise NotFound
        if work.state not in {"planned", *ACTIVE}:
            raise StateConflict("This has ended already.")
        work.cancel_wanted = True
        # A step that was begun must be completed or undone: its tag can point to a placeholder.
        if work.state != "running" and not _has_begun(session, work):
            work.state, work.finished_at = "cancelled", utc_now()
        record(session, actor, f"{work.audit_action}.cancel", work.target)
        return work


def _has_begun(session: Session, work: Operation) -> bool:
    """Return whether a worker was stopped in the middle of a step of a removal or copy."""
    line = LINE_MODELS[type(work)]
    query = select(line.number).where(line.work_id == work.id, line.outcome.is_(None)).limit(1)
    return session.execute(query).first() is not None


def lines_of(
    work: Operation, limit: int, successful_outcomes: Collection[str]
) -> list[OperationStep]:
    """Return the newest lines of the report of a removal or copy, with unsuccessful steps first.

    Args:
        limit: maximum number of lines.
        successful_outcomes: outcomes of steps that went as planned.
    """
    line = LINE_MODELS[type(work)]
    query = (
        select(line)
        .where(line.work_id == work.id, line.outcome.is_not(None))
        .order_by(line.outcome.in_(successful_outcomes), line.number.desc())
        .limit(limit)
    )
    return list(db.session.scalars(query))


def outcomes_of(work: Operation) -> dict[str, int]:
    """Return the number of finished steps of a removal or copy for each outcome."""
    line = LINE_MODELS[type(work)]
    query = (
        select(line.outcome, func.count())
        .where(line.work_id == work.id, line.outcome.is_not(None))
        .group_by(line.outcome)
        .order_by(line.outcome)
    )
    return dict(db.session.execute(query).all())


def delete_expired_plans(session: Session, model: type[Operation]) -> None:
    """Delete the plans that were not confirmed within PLAN_LIFETIME."""
    is_expired = model.created_at < utc_now() - PLAN_LIFETIME
    session.execute(
        delete(model)
        .where(model.state == "planned", is_expired)
        .execution_options(synchronize_session=False)
    )
