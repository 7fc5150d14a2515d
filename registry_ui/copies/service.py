"""Copies as stored plans: confirmed by a user, run by a worker, resumed if a worker dies."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..catalog.reconcile import reconcile
from ..db.session import writing
from ..errors import StateConflict
from ..manifests.store import ensure_fetched
from ..models import Copy, OperationStep
from ..names import RepositoryName
from ..operations import runner
from ..operations.errors import LeaseLost
from .plan import CopyPlan, CopyRequest
from .steps import GOOD, REFUSED, Steps

logger = logging.getLogger(__name__)

#: Maximum number of a user's own copies of an image that are listed on the copy page.
MAX_LISTED_COPIES = 5
#: Maximum number of copied tags whose metadata is fetched after a copy, so that their pages load
#: quickly, and the timeout for that in seconds.
MAX_PREFETCHED_TAGS, PREFETCH_TIMEOUT = 50, 30.0


def save_plan(actor: Actor, request: CopyRequest, plan: CopyPlan) -> Copy:
    """Store a copy plan for a user to review and confirm."""
    with writing() as session:
        copy = Copy(
            kind=plan.kind,
            source=plan.source,
            source_project=request.source_project,
            target=plan.target,
            project_path=request.target_project.path,
            project_id=request.target_project.id,
            requested_by=actor.name,
            state="planned",
            plan=plan.steps,
            preview=plan.preview(),
            total=len(plan.steps),
        )
        session.add(copy)
        session.flush()
        return copy


def start_planned(actor: Actor, copy_id: int, *, overwrite: bool) -> Copy:
    """Queue a stored plan for execution exactly as previewed.

    Args:
        actor: the user who confirms the plan.
        copy_id: the planned copy.
        overwrite: whether tags of the target that have another digest are overwritten.

    Raises:
        StateConflict: the plan was already confirmed or discarded.
    """
    with writing() as session:
        copy = session.get(Copy, copy_id, with_for_update=True, populate_existing=True)
        if copy is None or copy.state != "planned":
            raise StateConflict("This plan was carried out or discarded already.")
        copy.state, copy.requested_by = "waiting", actor.name
        copy.preview = {**copy.preview, "overwrite": overwrite}
        record(
            session,
            actor,
            copy.audit_action,
            copy.target,
            source=copy.source,
            tags=copy.total,
            overwrite=overwrite,
        )
        return copy


def run(copy_id: int) -> Copy | None:
    """Run a copy, or resume it.

    Returns:
        The copy, or None if another worker holds it or it has to wait for a write freeze.
    """
    lease = runner.claim(Copy, copy_id)
    if lease is None:
        return None
    try:
        runner.carry_out(lease, Steps(lease).take, failed_outcomes=[REFUSED])
    except LeaseLost:
        logger.warning("copy %s: another worker has taken it over", copy_id)
        return None
    finally:
        reconcile(RepositoryName(lease.work.target), digests=False)
    _prefetch(lease.work)
    return lease.work


def _prefetch(copy: Copy) -> None:
    """Fetch the metadata of the first tags from the target, as after a push."""
    digests = {step.digest: step.digest for step in copy.plan[:MAX_PREFETCHED_TAGS]}
    ensure_fetched(RepositoryName(copy.target), digests, PREFETCH_TIMEOUT)


def waiting() -> list[int]:
    """Return the IDs of copies that have work to do and are not leased by a live worker."""
    return runner.waiting(Copy)


def cancel(actor: Actor, copy_id: int) -> Copy:
    """Stop a copy before its next tag, or discard a plan.

    Raises:
        NotFound: there is no such copy.
        StateConflict: the copy has already ended.
    """
    return runner.cancel(actor, Copy, copy_id)


def lines_of(copy: Copy, limit: int) -> list[OperationStep]:
    """Return the newest lines of a copy's report, problems first."""
    return runner.lines_of(copy, limit, GOOD)


def latest(session: Session, source: str, requested_by: str) -> list[Copy]:
    """Return a user's latest copies and plans of an image, newest first."""
    query = (
        select(Copy)
        .where(Copy.source == source, Copy.requested_by == requested_by)
        .order_by(Copy.id.desc())
        .limit(MAX_LISTED_COPIES)
    )
    return list(session.scalars(query))
