"""Carries out stored removals, step by step; goes on where a dead worker stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy.orm import Session

from ..access import Fenced
from ..audit import Actor
from ..catalog.reconcile import reconcile
from ..db.session import db, end_read
from ..models import OperationStep, Removal, RemovalStep
from ..names import RepositoryName
from ..operations import runner
from ..operations.errors import LeaseLost, OperationFailed
from ..operations.operation_lease import OperationLease
from ..operations.recovery import undo_placeholders
from ..registry_connection import is_answering
from .authorization import denial_reason
from .steps import IN_THE_BIN, STEPS

logger = logging.getLogger(__name__)

#: Outcomes of what went as planned.
GOOD = ("deleted", "gone already", IN_THE_BIN)


def run(
    removal_id: int, *, except_fence_id: int | None = None, timeout: float | None = None
) -> Removal | None:
    """Carry out a removal, or what is left of it.

    Returns None where another worker has it, or a fence stands: then it waits.

    Args:
        except_fence_id: a fence that does not count: that of whoever needs the removal.
        timeout: seconds for which a registry that is silent is waited for; PATIENCE for None.
    """
    lease = runner.claim(Removal, removal_id, except_fence_id=except_fence_id, timeout=timeout)
    if lease is None:
        return None
    try:
        runner.carry_out(
            lease,
            lambda number, step: _take(lease, number, step),
            undo=lambda: undo_placeholders(lease.work, lease.renew),
            answers=lambda step: is_answering(RepositoryName(step.repository)),
        )
    except LeaseLost:
        logger.warning("removal %s: another worker has taken it over", removal_id)
        return None
    except BaseException:
        _reconcile(lease.work)
        raise
    _reconcile(lease.work)
    return lease.work


def _take(lease: OperationLease[Removal], number: int, step: RemovalStep) -> tuple[str, str]:
    """Take one step, unless the right to it was withdrawn or a rule was made meanwhile."""
    session = db.session()
    # What was begun is ended: the tag may stand for a placeholder already.
    begun = lease.placeholder_of(session, number) is not None
    why = None if begun else denial_reason(session, lease.work, step)
    end_read()
    if why is not None:
        raise OperationFailed(why)
    return STEPS[step.kind](lease, number, step)


def _reconcile(removal: Removal) -> None:
    # What the plan could not read is marked in the index.
    digests = bool(removal.preview.get("unread"))
    for repository in _repositories(removal.plan):
        reconcile(RepositoryName(repository), digests=digests, removed_by=removal.requested_by)


def _repositories(plan: Iterable[RemovalStep]) -> list[str]:
    return sorted({step.repository for step in plan})


def waiting() -> list[int]:
    """Return the removals that no living worker holds."""
    return runner.waiting(Removal)


def stopped(
    session: Session, removal_id: int, *, except_fence_id: int | None = None
) -> Fenced | None:
    """Return the fence that a removal which has not ended waits for, if one does."""
    return runner.stopped(session, Removal, removal_id, except_fence_id=except_fence_id)


def cancel(actor: Actor, removal_id: int) -> Removal:
    """Stop a removal before its next step; one that nobody has begun is cancelled at once.

    Raises:
        NotFound: there is none.
        StateConflict: it has ended already.
    """
    return runner.cancel(actor, Removal, removal_id)


def lines_of(removal: Removal, limit: int) -> list[OperationStep]:
    """Return the newest lines of a removal's report: what went wrong first, then the rest."""
    return runner.lines_of(removal, limit, GOOD)
