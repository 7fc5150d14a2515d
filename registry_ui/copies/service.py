"""Copies of tags, from the stored plan to the report.

A user confirms the plan, and a worker carries it out. A worker holds a lease (a lock that expires
unless it is renewed), so that another worker can resume the copy if the first one dies.
"""

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
from ..operations.operation_lease import OperationLease
from .plan import CopyPlan, CopyRequest
from .steps import REFUSED, SUCCESSFUL_OUTCOMES, StepRunner

logger = logging.getLogger(__name__)

#: Maximum number of the signed-in user's copies of an image that the copy page lists.
MAX_LISTED_COPIES = 5
#: Maximum number of copied tags whose manifests are fetched after a copy, so that the pages of the
#: tags load quickly, and the timeout in seconds for fetching them.
MAX_PREFETCHED_TAGS, PREFETCH_TIMEOUT = 50, 30.0


def save_plan(actor: Actor, request: CopyRequest, plan: CopyPlan) -> Copy:
    """Store a plan to copy tags, which the user can review and confirm; return its row.

    Args:
        actor: the user who requested the copy.
        request: the tags to copy and their destination.
        plan: the plan for the request.
    """
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
    """Queue a stored plan to copy tags, for execution exactly as previewed.

    Args:
        actor: the user who confirms the plan.
        copy_id: id of the planned copy.
        overwrite: whether tags of the target that have a different digest are overwritten.

    Raises:
        StateConflict: the plan was already confirmed, was discarded, or does not exist.
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
    """Carry out a confirmed copy, or resume an interrupted one.

    Returns:
        The copy. Its state is ``waiting`` if it was deferred, because the registry did not answer
        or a write freeze (a period in which pushes are refused) began. None if another worker
        holds its lease, or if a write freeze was in effect already.
    """
    lease = runner.claim(OperationLease[Copy], Copy, copy_id)
    if lease is None:
        return None
    try:
        steps = StepRunner(lease)
        runner.carry_out(lease, lambda _number, step: steps.run(step), failed_outcomes=[REFUSED])
    except LeaseLost:
        logger.warning("copy %s: another worker has taken it over", copy_id)
        return None
    finally:
        reconcile(RepositoryName(lease.work.target), digests=False)
    _prefetch(lease.work)
    return lease.work


def _prefetch(copy: Copy) -> None:
    """Fetch and store the manifests of up to MAX_PREFETCHED_TAGS copied tags from the target."""
    digests = {step.digest: step.digest for step in copy.plan[:MAX_PREFETCHED_TAGS]}
    ensure_fetched(RepositoryName(copy.target), digests, PREFETCH_TIMEOUT)


def waiting() -> list[int]:
    """Return the ids of confirmed, unfinished copies that no live worker is carrying out."""
    return runner.waiting(Copy)


def cancel(actor: Actor, copy_id: int) -> Copy:
    """Cancel a confirmed copy before its next tag, or discard a planned copy; return its row.

    Raises:
        NotFound: there is no such copy.
        StateConflict: the copy has already ended.
    """
    return runner.cancel(actor, Copy, copy_id)


def lines_of(copy: Copy, limit: int) -> list[OperationStep]:
    """Return the newest ``limit`` lines of a copy's report, with unsuccessful steps first."""
    return runner.lines_of(copy, limit, SUCCESSFUL_OUTCOMES)


def latest(session: Session, source: str, requested_by: str) -> list[Copy]:
    """Return the latest copies that a user planned or ran from a repository, newest first.

    Args:
        session: the database session.
        source: the source repository.
        requested_by: user name of the user.
    """
    query = (
        select(Copy)
        .where(Copy.source == source, Copy.requested_by == requested_by)
        .order_by(Copy.id.desc())
        .limit(MAX_LISTED_COPIES)
    )
    return list(session.scalars(query))
