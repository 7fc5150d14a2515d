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
from .transfer import left_out_of, read_live, read_live_digests
from .unmoved_tags import unmoved_tags

INCOMPLETE = (
    "The new path does not have everything that the old one has. Nothing of that was deleted."
)


def delete_old_path(lease: MoveLease, rows: Iterable[MovedRepository]) -> None:
    """Delete from the old repositories the digests that the new repositories also have.

    Content that the new path lacks stays at the old path, unless a user reviewed it and chose to
    delete everything (``retire_all``).

    Raises:
        OperationFailed: a removal at the old path failed.
        RegistryError: the registry cannot be read.
    """
    has_leftovers = False
    for row in rows:
        # Keep tags that could not be copied, unless a user decided to delete them.
        unmoved = set() if lease.move.retire_all else set(unmoved_tags(row))
        steps = _plan_steps(lease, row, unmoved)
        if steps:
            empty(lease, row, row.source, steps)
        remaining = read_live(lease, row.source)
        # A tag with status 404 has no content, so it does not count unless it is an unmoved tag:
        # Distribution 2.8 can continue to list deleted tags.
        leftovers = [*remaining.digests, *remaining.damaged.keys() & (remaining.faulty | unmoved)]
        lease.record_progress(
            row, state="kept" if leftovers else "retired", detail=name_some(leftovers) or row.detail
        )
        has_leftovers = has_leftovers or bool(leftovers)
    move = lease.move
    with writing() as session:
        if has_leftovers:
            lease.update(session, state="grace", problem=INCOMPLETE, retire_all=False)
            set_grace_end(session, move)
            return
        lease.update(session, state="done", finished_at=utc_now(), problem="")
        session.execute(delete(OldPath).where(OldPath.move_id == move.id))
        forget_tags(session, move)
        record(session, Actor(move.requested_by), f"{move.kind}.move.retire", move.source)


def _plan_steps(lease: MoveLease, row: MovedRepository, unmoved: set[str]) -> list[RemovalStep]:
    """Return the removal steps that delete everything from an old repository that can be deleted.

    Args:
        lease: the lease of the move.
        row: the moved repository.
        unmoved: tags that stay, even if the new path has their digests.
    """
    source = read_live(lease, row.source)
    digests = source.digests
    missing = set() if lease.move.retire_all else _find_missing(lease, row, set(digests.values()))
    to_delete = {
        tag: digest
        for tag, digest in digests.items()
        if digest not in missing and tag not in unmoved
    }
    to_keep = source.damaged.keys() & unmoved
    if source.damaged and not lease.move.retire_all:
        to_keep |= source.damaged.keys() - _find_deletable_unreadable(lease, row, source)
    steps: list[RemovalStep] = []
    if unreadable := sorted(source.damaged.keys() - to_keep):
        steps.append(RemovalStep("unreadable", repository=row.source, tags=unreadable))
    if to_keep:  # An unreadable tag can need any manifest, so delete only tags.
        steps += [
            RemovalStep("tag", repository=row.source, tag=tag, digest=digest)
            for tag, digest in sorted(to_delete.items())
        ]
    elif to_delete:
        steps.append(RemovalStep("image", repository=row.source, tags=to_delete))
    return steps


def _find_deletable_unreadable(
    lease: MoveLease, row: MovedRepository, source: LiveTags
) -> set[str]:
    """Return the unreadable tags of the old path that can be deleted.

    A tag for which the registry returns 404 has no content. It can be a tag that was deleted before
    the move and that Distribution 2.8 still lists; the database cannot tell, because it no longer
    has the tags of the old path. Any other unreadable tag can be deleted if it was left out of the
    move, or was copied to the new path.
    """
    without_content = source.damaged.keys() - source.faulty
    return (
        without_content
        | left_out_of(lease, row.source)
        | read_live_digests(lease, row.target).keys()
    )


def set_grace_end(session: Session, move: Move, until: datetime | None = None) -> None:
    """Set the end of the old path's grace period; None keeps the path until a user deletes it."""
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
        OperationFailed: a removal at the new path failed.
        RegistryError: the registry cannot be read.
    """
    for row in rows:
        if not row.begun or row.state == "undone":
            continue
        own_digests = copied_digests(row) | set(read_live_digests(lease, row.source).values())
        copies = {
            tag: digest
            for tag, digest in read_live_digests(lease, row.target).items()
            if digest in own_digests
        }
        if copies:
            step = RemovalStep("image", repository=row.target, tags=copies)
            empty(lease, row, row.target, [step])
        lease.record_progress(row, state="undone")


def _find_missing(lease: MoveLease, row: MovedRepository, digests: set[str]) -> set[str]:
    """Return those of the given digests that the new path does not have or cannot serve."""
    end_read()
    target, missing = RepositoryName(row.target), set()
    for digest in sorted(digests):
        lease.renew()
        try:
            registry().head(target, Digest(digest))
        except (RegistryNotFound, RegistryFault):
            missing.add(digest)
    return missing
