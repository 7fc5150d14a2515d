"""Long work in the hands of workers: stored, claimed, carried out, cancelled, reported."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from ..access import Fenced
from ..audit import Actor, record
from ..db.session import db, writing
from ..distribution.errors import RegistryTimeout, RegistryUnavailable
from ..errors import NotFound, StateConflict
from ..models import Work, WorkLine, utc_now
from .lease import (
    LEASE,
    LINES,
    PATIENCE,
    SILENT,
    STALL_LIMIT,
    AnyWork,
    Cancelled,
    Lease,
    Stalled,
    Stopped,
)
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
Step = Callable[[int, dict[str, Any]], tuple[str, str]]


class StepFailed(Exception):
    """A step could not be carried out, and the rest goes on; the message is for the report."""


class OperationFailed(StepFailed):
    """Nothing more can be done; the message is for the report."""


def carry_out(
    lease: Lease[Any],
    step: Step,
    bad: Collection[str] = (),
    undo: Callable[[], RegistryUnavailable | None] = lambda: None,
    answers: Callable[[dict[str, Any]], bool] = lambda _step: False,
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
        lease.note(work.done, plan[work.done], "failed", str(failure))
        lease.finish("failed")
    except Stalled as stalled:
        if lease.is_out_of_patience:
            lease.note(work.done, plan[work.done], "failed", NEVER_ANSWERED)
            lease.finish("failed")
        else:
            lease.wait(str(stalled))
    except Cancelled:
        _cancel(lease, undo)
    except Stopped:
        lease.wait()


def _cancel(lease: Lease[Any], undo: Callable[[], RegistryUnavailable | None]) -> None:
    """End canceled work, once the step that was interrupted is undone."""
    with lease.undisturbed():
        problem = undo()
    if problem is not None and not lease.is_out_of_patience:
        lease.wait(SILENT.format(problem))
        return
    work = lease.work
    lease.note(work.done, work.plan[work.done], "cancelled", CANCELLED)
    lease.finish("cancelled")


def _take(
    lease: Lease[Any], step: Step, number: int, answers: Callable[[dict[str, Any]], bool]
) -> None:
    """Take one step, and keep its outcome; a registry that is silent is waited for."""
    planned = lease.work.plan[number]
    lease.heed(planned["repository"])
    try:
        taken = _attempt(lease, step, number, planned)
    except Stalled as stalled:
        taken = _failed_alone(lease, planned, stalled, answers)
    if taken is not None:
        lease.note(number, planned, *taken)


def _attempt(
    lease: Lease[Any], step: Step, number: int, planned: dict[str, Any]
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
    lease: Lease[Any],
    step: dict[str, Any],
    stalled: Stalled,
    answers: Callable[[dict[str, Any]], bool],
) -> tuple[str, str]:
    """Return the outcome of a step that waited in vain for a registry that answers otherwise.

    Raises:
        Stalled: it does not answer otherwise either.
    """
    if not isinstance(stalled.error, RegistryTimeout) or not answers(step):
        raise stalled
    lease.note_answer()
    return "failed", ALONE.format(stalled.error)


def claim(
    model: type[AnyWork], work_id: int, *, but: int | None = None, patience: float | None = None
) -> Lease[AnyWork] | None:
    """Take work into one's hands; None where another has it, or a fence stands.

    Args:
        but: a fence that does not count: that of whoever needs the work.
        patience: seconds for which a registry that is silent is waited for; PATIENCE for None.
    """
    owner = secrets.token_hex(16)
    with writing() as session:
        if stopped(session, model, work_id, but=but) is not None:
            return None
        claimed = session.execute(
            update(model)
            .where(model.id == work_id, model.state.in_(ACTIVE), _is_free(model))
            .values(state="running", lease_until=utc_now() + LEASE, lease_owner=owner)
            .execution_options(synchronize_session=False)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        work = session.get_one(model, work_id, populate_existing=True)
        return Lease(work, owner, but, PATIENCE if patience is None else patience)


def waiting(model: type[Work]) -> list[int]:
    """Return the work that no living worker holds."""
    query = select(model.id).where(model.state.in_(ACTIVE), _is_free(model)).order_by(model.id)
    return list(db.session.scalars(query))


def _is_free(model: type[Work]) -> Any:
    return or_(model.lease_until.is_(None), model.lease_until < utc_now())


def stopped(
    session: Session, model: type[Work], work_id: int, *, but: int | None = None
) -> Fenced | None:
    """Return the fence that work which has not ended waits for, if one does."""
    query = select(model.target).where(model.id == work_id, model.state.in_(ACTIVE))
    target = session.scalar(query)
    return None if target is None else fenced(session, target.partition(":")[0], but=but)


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


def _is_begun(session: Session, work: Work) -> bool:
    """Return whether a worker left in the middle of a step."""
    line = LINES[type(work)]
    query = select(line.number).where(line.work_id == work.id, line.outcome.is_(None)).limit(1)
    return session.execute(query).first() is not None


def lines_of(work: Work, limit: int, good: Collection[str]) -> list[WorkLine]:
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


def outcomes_of(work: Work) -> dict[str, int]:
    """Return how many steps ended how."""
    line = LINES[type(work)]
    query = (
        select(line.outcome, func.count())
        .where(line.work_id == work.id, line.outcome.is_not(None))
        .group_by(line.outcome)
        .order_by(line.outcome)
    )
    return dict(db.session.execute(query).all())


def forget_plans(session: Session, model: type[Work]) -> None:
    """Forget plans that nobody confirmed in time."""
    old = model.created_at < utc_now() - PLANNED_KEPT
    session.execute(
        delete(model)
        .where(model.state == "planned", old)
        .execution_options(synchronize_session=False)
    )
