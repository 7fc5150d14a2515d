"""Carries out stored removals, step by step; goes on where a dead worker stopped."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from ..access import Fenced
from ..audit import Actor, record
from ..errors import NotFound
from ..extensions import db, writing
from ..models import Removal, RemovalLine, utc_now
from ..names import RepositoryName
from .fences import fenced
from .lease import LEASE, Cancelled, Lease, LeaseLost, Stopped
from .reconcile import reconcile
from .removal_steps import IN_THE_BIN, STEPS, StepFailed

#: How long a plan waits to be confirmed.
PLANNED_KEPT = timedelta(days=1)

ACTIVE = ("waiting", "running")

logger = logging.getLogger(__name__)

CANCELLED = "it was cancelled; what was done before stays done"


def run(removal_id: int) -> Removal | None:
    """Carry out a removal, or what is left of it.

    Returns None where another worker has it, or a fence stands: then it waits.
    """
    lease = _claim(removal_id)
    if lease is None:
        return None
    try:
        _carry_out(lease)
    except LeaseLost:
        logger.warning("removal %s: another worker has taken it over", removal_id)
        return None
    except BaseException:
        _reconcile(lease.removal)
        raise
    _reconcile(lease.removal)
    return lease.removal


def _carry_out(lease: Lease) -> None:
    removal = lease.removal
    plan = removal.plan
    try:
        for number in range(removal.done, len(plan)):
            lease.heed(plan[number]["repository"])
            outcome, detail = STEPS[plan[number]["do"]](lease, number, plan[number])
            lease.note(number, plan[number], outcome, detail)
        lease.finish("done")
    except StepFailed as failure:
        lease.note(removal.done, plan[removal.done], "failed", str(failure))
        lease.finish("failed")
    except Cancelled:
        lease.note(removal.done, plan[removal.done], "cancelled", CANCELLED)
        lease.finish("cancelled")
    except Stopped:
        lease.wait()


def _reconcile(removal: Removal) -> None:
    for repository in _repositories(removal.plan):
        reconcile(RepositoryName(repository), digests=False, removed_by=removal.requested_by)


def _repositories(plan: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({step["repository"] for step in plan})


def waiting() -> list[int]:
    """Return the removals that no living worker holds."""
    query = select(Removal.id).where(Removal.state.in_(ACTIVE), _is_free()).order_by(Removal.id)
    return list(db.session.scalars(query))


def _is_free() -> Any:
    return or_(Removal.lease_until.is_(None), Removal.lease_until < utc_now())


def _claim(removal_id: int) -> Lease | None:
    owner = secrets.token_hex(16)
    with writing() as session:
        if stopped(session, removal_id) is not None:
            return None
        claimed = session.execute(
            update(Removal)
            .where(Removal.id == removal_id, Removal.state.in_(ACTIVE), _is_free())
            .values(state="running", lease_until=utc_now() + LEASE, lease_owner=owner)
            .execution_options(synchronize_session=False)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        return Lease(session.get_one(Removal, removal_id, populate_existing=True), owner)


def stopped(session: Session, removal_id: int) -> Fenced | None:
    """Return the fence that a removal which has not ended waits for, if one does."""
    query = select(Removal.target).where(Removal.id == removal_id, Removal.state.in_(ACTIVE))
    target = session.scalar(query)
    return None if target is None else fenced(session, target.partition(":")[0])


def cancel(actor: Actor, removal_id: int) -> Removal:
    """Stop a removal before its next step; one that nobody has begun is cancelled at once.

    Raises:
        NotFound: there is none, or it has ended already.
    """
    with writing() as session:
        removal = session.get(Removal, removal_id, with_for_update=True, populate_existing=True)
        if removal is None or removal.state not in {"planned", "waiting", "running"}:
            raise NotFound("This removal has ended already.")
        removal.cancel_wanted = True
        if removal.state != "running":
            removal.state, removal.finished_at = "cancelled", utc_now()
        record(session, actor, f"{removal.kind}.delete.cancel", removal.target)
        return removal


def lines_of(removal: Removal, limit: int) -> list[RemovalLine]:
    """Return the newest lines of a removal's report: what went wrong first, then the rest."""
    query = (
        select(RemovalLine)
        .where(RemovalLine.work_id == removal.id, RemovalLine.outcome.is_not(None))
        .order_by(
            RemovalLine.outcome.in_(["deleted", "gone already", IN_THE_BIN]),
            RemovalLine.number.desc(),
        )
        .limit(limit)
    )
    return list(db.session.scalars(query))


def outcomes_of(removal: Removal) -> dict[str, int]:
    """Return how many steps ended how."""
    query = (
        select(RemovalLine.outcome, func.count())
        .where(RemovalLine.work_id == removal.id, RemovalLine.outcome.is_not(None))
        .group_by(RemovalLine.outcome)
        .order_by(RemovalLine.outcome)
    )
    return dict(db.session.execute(query).all())


def forget_plans(session: Session) -> None:
    """Forget plans that nobody confirmed in time."""
    old = Removal.created_at < utc_now() - PLANNED_KEPT
    session.execute(
        delete(Removal)
        .where(Removal.state == "planned", old)
        .execution_options(synchronize_session=False)
    )
