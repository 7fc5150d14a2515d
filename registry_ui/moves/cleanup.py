"""What a move takes away again, by removals like any other: each looks before it acts."""

from __future__ import annotations

from ..access.lookup import prefixes
from ..access.reserved_paths import fence_of
from ..db.session import db
from ..models import MovedRepository, Place, Removal, RemovalStep
from ..operations.errors import Deferred, OperationFailed
from ..removals import runner
from ..removals.plan import RemovalPlan
from .lease import MoveLease


def empty(
    lease: MoveLease, row: MovedRepository, repository: str, steps: list[RemovalStep]
) -> None:
    """Carry out steps of a removal in one of the two repositories, or what is left of them.

    Raises:
        OperationFailed: not everything was removed.
        Deferred: another worker is at it, the registry does not answer, or nothing may be
            written in the whole registry.
    """
    started = _unfinished(row)
    if started is None:
        started = _start(lease, row, repository, steps)
    fence = fence_of(db.session(), lease.move.target)
    done = runner.run(started, except_fence_id=fence.id if fence is not None else None)
    if done is None or done.is_active:
        if done is not None and done.problem:
            lease.record_stall(done.problem)
        raise Deferred
    if done.state != "done":
        problem = runner.lines_of(done, 1)
        raise OperationFailed(f"{repository}: {problem[0].detail if problem else done.state}")


def _unfinished(row: MovedRepository) -> int | None:
    """Return the removal that a worker had begun for this, before it died."""
    removal = db.session.get(Removal, row.removal_id) if row.removal_id else None
    return removal.id if removal is not None and removal.is_active else None


def _start(
    lease: MoveLease, row: MovedRepository, repository: str, steps: list[RemovalStep]
) -> int:
    move = lease.move
    place = db.session.get(Place, move.place_id) if move.place_id else None
    if place is not None and place.path not in prefixes(repository):
        # Not of its activity: whoever sees that may know of no other name, old or new.
        place = None
    plan = RemovalPlan("image", repository, steps)
    removal = Removal(
        kind=plan.kind,
        target=repository,
        project_id=place.id if place else None,
        project_path=place.path if place else move.source,
        requested_by=move.requested_by,
        state="waiting",
        plan=steps,
        preview=plan.preview(),
        total=len(steps),
    )
    lease.add_removal(row, removal)
    return removal.id
