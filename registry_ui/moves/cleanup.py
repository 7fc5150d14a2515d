"""What a move takes away again, by removals like any other: each looks before it acts."""

from __future__ import annotations

from typing import Any

from ..access.lookup import prefixes
from ..access.reserved_paths import fence_of
from ..db.session import db
from ..models import MovedRepository, Place, Removal
from ..removals import runner
from ..removals.plan import RemovalPlan
from .lease import HeldBack, Hold, MoveFailed


def empty(hold: Hold, row: MovedRepository, repository: str, steps: list[dict[str, Any]]) -> None:
    """Carry out steps of a removal in one of the two repositories, or what is left of them.

    Raises:
        MoveFailed: not everything was removed.
        HeldBack: another worker is at it, the registry does not answer, or nothing may be
            written in the whole registry.
    """
    started = _unfinished(row)
    if started is None:
        started = _start(hold, row, repository, steps)
    fence = fence_of(db.session(), hold.move.target)
    done = runner.run(started, but=fence.id if fence is not None else None)
    if done is None or done.is_active:
        if done is not None and done.problem:
            hold.note_stall(done.problem)
        raise HeldBack
    if done.state != "done":
        problem = runner.lines_of(done, 1)
        raise MoveFailed(f"{repository}: {problem[0].detail if problem else done.state}")


def _unfinished(row: MovedRepository) -> int | None:
    """Return the removal that a worker had begun for this, before it died."""
    removal = db.session.get(Removal, row.removal_id) if row.removal_id else None
    return removal.id if removal is not None and removal.is_active else None


def _start(hold: Hold, row: MovedRepository, repository: str, steps: list[dict[str, Any]]) -> int:
    move = hold.move
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
    hold.add_removal(row, removal)
    return removal.id
