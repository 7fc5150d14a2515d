"""Delete content that a move no longer needs, through ordinary removals with all their checks."""

from __future__ import annotations

from ..access.lookup import prefixes
from ..access.reserved_paths import find_move_freeze
from ..audit import Actor
from ..db.session import db
from ..models import MovedRepository, Place, Removal, RemovalStep
from ..operations.errors import Deferred, OperationFailed
from ..removals import runner
from ..removals.plan import RemovalPlan
from ..removals.service import removal_from_plan
from .lease import MoveLease


def empty(
    lease: MoveLease, row: MovedRepository, repository: str, steps: list[RemovalStep]
) -> None:
    """Run removal steps in the old or the new repository, or resume an unfinished removal.

    Args:
        lease: the lease of the move.
        row: the moved repository that the removal is recorded for.
        repository: the repository to delete from, either the old path or the new one.
        steps: what to delete. Ignored if an earlier removal for this row is unfinished.

    Raises:
        OperationFailed: not everything was removed.
        Deferred: another worker holds the removal, the registry does not answer, or a write freeze
            covers the whole registry.
    """
    removal_id = _find_unfinished(row)
    if removal_id is None:
        removal_id = _start_removal(lease, row, repository, steps)
    freeze = find_move_freeze(db.session(), lease.move.target)
    removal = runner.run(removal_id, except_freeze_id=freeze.id if freeze is not None else None)
    if removal is None or removal.is_active:
        if removal is not None and removal.problem:
            lease.record_stall(removal.problem)
        raise Deferred
    if removal.state != "done":
        lines = runner.lines_of(removal, 1)
        raise OperationFailed(f"{repository}: {lines[0].detail if lines else removal.state}")


def _find_unfinished(row: MovedRepository) -> int | None:
    """Return the ID of a removal that an earlier worker started for this row, or None."""
    removal = db.session.get(Removal, row.removal_id) if row.removal_id else None
    return removal.id if removal is not None and removal.is_active else None


def _start_removal(
    lease: MoveLease, row: MovedRepository, repository: str, steps: list[RemovalStep]
) -> int:
    move = lease.move
    place = db.session.get(Place, move.place_id) if move.place_id else None
    if place is not None and place.path not in prefixes(repository):
        # Do not list the removal in the activity of a place that does not contain the repository:
        # users who can see that activity may not be allowed to know the repository's path.
        place = None
    plan = RemovalPlan("image", repository, steps)
    place_id, path = (place.id, place.path) if place else (None, move.source)
    removal = removal_from_plan(plan, Actor(move.requested_by), place_id=place_id, path=path)
    lease.add_removal(row, removal)
    return removal.id
