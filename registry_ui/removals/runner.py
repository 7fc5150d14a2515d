"""Execution of stored removals, step by step. If a worker dies, the next one continues."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy.orm import Session

from ..access import ActiveFreeze
from ..audit import Actor
from ..catalog.reconcile import reconcile
from ..db.session import db, end_read
from ..models import OperationStep, Removal, RemovalStep
from ..names import RepositoryName
from ..operations import runner
from ..operations.errors import LeaseLost, OperationFailed
from ..operations.recovery import undo_placeholders
from ..registry_connection import is_answering
from .authorization import denial_reason
from .lease import RemovalLease
from .steps import IN_TRASH, STEPS

logger = logging.getLogger(__name__)

#: Outcomes of steps that went as planned.
SUCCESSFUL_OUTCOMES = ("deleted", "gone already", IN_TRASH)


def run(
    removal_id: int, *, except_freeze_id: int | None = None, timeout: float | None = None
) -> Removal | None:
    """Carry out the remaining steps of a removal.

    Args:
        except_freeze_id: ID of a write freeze to ignore, namely the one set by the move that
            needs this removal; None to respect all.
        timeout: how long in seconds to keep trying while the registry does not answer; None for
            REGISTRY_TIMEOUT.

    Returns:
        The removal. Its state is ``waiting`` if it was deferred, because the registry did not
        answer or a write freeze began. None if another worker holds the removal, or if a write
        freeze was in effect already; it stays queued.
    """
    lease = runner.claim(
        RemovalLease, Removal, removal_id, except_freeze_id=except_freeze_id, timeout=timeout
    )
    if lease is None:
        return None
    try:
        runner.carry_out(
            lease,
            lambda number, step: _run_step(lease, number, step),
            undo=lambda: undo_placeholders(lease.work, lease.renew),
            is_answering=lambda step: is_answering(RepositoryName(step.repository)),
        )
    except LeaseLost:
        logger.warning("removal %s: another worker has taken it over", removal_id)
        return None
    except BaseException:
        _reconcile_images(lease.work)
        raise
    _reconcile_images(lease.work)
    return lease.work


def _run_step(lease: RemovalLease, number: int, step: RemovalStep) -> tuple[str, str]:
    """Run one step, unless it is no longer permitted; return its outcome and a detail.

    A step is no longer permitted if the user has lost the permission or a rule now forbids it.

    Raises:
        OperationFailed: the step is no longer permitted.
    """
    session = db.session()
    # A step that was begun is completed without a check: its tag can point to a placeholder.
    has_begun = lease.placeholder_of(session, number) is not None
    reason = None if has_begun else denial_reason(session, lease.work, step)
    end_read()
    if reason is not None:
        raise OperationFailed(reason)
    return STEPS[step.kind](lease, number, step)


def _reconcile_images(removal: Removal) -> None:
    # If the plan could not read some tags, read all digests, so that the index (the database's copy
    # of the registry's tags) marks those tags as damaged.
    digests = bool(removal.preview.get("unread"))
    for repository in _repositories_from_steps(removal.plan):
        reconcile(RepositoryName(repository), digests=digests, removed_by=removal.requested_by)


def _repositories_from_steps(plan: Iterable[RemovalStep]) -> list[str]:
    return sorted({step.repository for step in plan})


def waiting() -> list[int]:
    """Return the IDs of the unfinished removals that no live worker holds."""
    return runner.waiting(Removal)


def find_blocking_freeze(
    session: Session, removal_id: int, *, except_freeze_id: int | None = None
) -> ActiveFreeze | None:
    """Return the write freeze that an unfinished removal is waiting for, or None.

    Args:
        except_freeze_id: ID of a write freeze to ignore, as for run().
    """
    return runner.find_blocking_freeze(
        session, Removal, removal_id, except_freeze_id=except_freeze_id
    )


def cancel(actor: Actor, removal_id: int) -> Removal:
    """Cancel a removal before its next step, or at once if no step has begun.

    Raises:
        NotFound: there is no such removal.
        StateConflict: the removal has already ended.
    """
    return runner.cancel(actor, Removal, removal_id)


def lines_of(removal: Removal, limit: int) -> list[OperationStep]:
    """Return at most ``limit`` lines of a removal's report: unsuccessful steps, then the newest."""
    return runner.lines_of(removal, limit, SUCCESSFUL_OUTCOMES)
