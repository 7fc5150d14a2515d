"""Final cleanup of a move: delete the old path after its grace period, or undo the copies."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..catalog.live_tags import LiveTags
from ..db.session import end_read, writing
from ..distribution.errors import RegistryFault, RegistryNotFound
from ..enumerations import name_some
from ..models import Move, MovedRepository, OldPath, RemovalStep, utc_now
from ..names import Digest, RepositoryName
from ..registry_connection import registry
from .cleanup import empty
from .lease import MoveLease
from .progress import copied_digests, forget_tags
from .transfer import left_out_of, live, read_live
from .unmoved_tags import unmoved_tags

NOT_THERE = (
    "The new path does not have everything that the old one has. Nothing of that was deleted."
)


def delete_old_path(lease: MoveLease, rows: Iterable[MovedRepository]) -> None:
    """Delete from the old repositories what the new ones also have, compared digest by digest.

    Content that the new path lacks stays at the old path, unless a user reviewed it and chose to
    delete everything (``retire_all``).

    Raises:
        OperationFailed, RegistryError: not everything could be removed.
    """
    kept = False
    for row in rows:
        # Keep tags that could not be copied, unless a user decided to delete them.
        unmoved = set() if lease.move.retire_all else set(unmoved_tags(row))
        steps = _steps(lease, row, unmoved)
        if steps:
            empty(lease, row, row.source, steps)
        after = read_live(lease, row.source)
        # A tag that answers 404 has no content, so it does not count unless it is an unmoved tag:
        # Distribution 2.8 can continue to list deleted tags.
        left = [*after.digests, *after.damaged.keys() & (after.faulty | unmoved)]
        lease.record_progress(
            row, state="kept" if left else "retired", detail=name_some(left) or row.detail
        )
        kept = kept or bool(left)
    move = lease.move
    with writing() as session:
        if kept:
            lease.update(session, state="grace", problem=NOT_THERE, retire_all=False)
            keep(session, move)
            return
        lease.update(session, state="done", finished_at=utc_now(), problem="")
        session.execute(delete(OldPath).where(OldPath.move_id == move.id))
        forget_tags(session, move)
        record(session, Actor(move.requested_by), f"{move.kind}.move.retire", move.source)


def _steps(lease: MoveLease, row: MovedRepository, unmoved: set[str]) -> list[RemovalStep]:
    """Return the removal steps that delete everything from an old repository that can be deleted.

    Args:
        lease: the lease of the move.
        row: the moved repository.
        unmoved: tags that stay, even if the new path has their digests.
    """
    found = read_live(lease, row.source)
    tags = found.digests
    lacking = set() if lease.move.retire_all else _lacking(lease, row, set(tags.values()))
    going = {
        tag: digest for tag, digest in tags.items() if digest not in lacking and tag not in unmoved
    }
    staying = found.damaged.keys() & unmoved
    if found.damaged and not lease.move.retire_all:
        staying |= found.damaged.keys() - _unreadable_that_go(lease, row, found)
    steps: list[RemovalStep] = []
    if unreadable := sorted(found.damaged.keys() - staying):
        steps.append(RemovalStep("unreadable", repository=row.source, tags=unreadable))
    if staying:  # An unreadable tag can need any manifest, so delete only tags.
        steps += [
            RemovalStep("tag", repository=row.source, tag=tag, digest=digest)
            for tag, digest in sorted(going.items())
        ]
    elif going:
        steps.append(RemovalStep("image", repository=row.source, tags=going))
    return steps


def _unreadable_that_go(lease: MoveLease, row: MovedRepository, found: LiveTags) -> set[str]:
    """Return the unreadable tags of the old path that can be deleted.

    A tag that answers 404 has no content. It can be a tag that was deleted before the move and that
    Distribution 2.8 still lists; the index cannot tell, because it no longer covers the old path.
    Any other unreadable tag can be deleted if it was left out of the move, or was copied to the new
    path.
    """
    nothing = found.damaged.keys() - found.faulty
    return nothing | left_out_of(lease, row.source) | live(lease, row.target).keys()


def keep(session: Session, move: Move, until: datetime | None = None) -> None:
    """Set the end of the grace period of the old path; None keeps it until a user decides."""
    move.grace_until = until
    session.execute(
        update(OldPath)
        .where(OldPath.move_id == move.id)
        .values(until=until)
        .execution_options(synchronize_session=False)
    )


def undo(lease: MoveLease, rows: Iterable[MovedRepository]) -> None:
    """Delete the copies of a canceled move; the old paths still have everything.

    Raises:
        OperationFailed, RegistryError: not everything could be removed.
    """
    for row in rows:
        if not row.begun or row.state == "undone":
            continue
        ours = copied_digests(row) | set(live(lease, row.source).values())
        copies = {tag: d for tag, d in live(lease, row.target).items() if d in ours}
        if copies:
            step = RemovalStep("image", repository=row.target, tags=copies)
            empty(lease, row, row.target, [step])
        lease.record_progress(row, state="undone")


def _lacking(lease: MoveLease, row: MovedRepository, digests: set[str]) -> set[str]:
    """Return the digests that the new path does not have, or cannot serve."""
    end_read()
    target, lacking = RepositoryName(row.target), set()
    for digest in sorted(digests):
        lease.renew()
        try:
            registry().head(target, Digest(digest))
        except (RegistryNotFound, RegistryFault):
            lacking.add(digest)
    return lacking
