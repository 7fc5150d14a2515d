"""What is taken away at last: the old names after their time, or the copies of a cancelled move."""

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
    """Empty the old repositories of what the new ones have, digest by digest.

    What the new name has no more, stays under the old one, unless somebody has seen that
    and wished otherwise.

    Raises:
        OperationFailed, RegistryError: not everything could be removed.
    """
    kept = False
    for row in rows:
        # What could not be copied stays, unless a person decided that it may go.
        unmoved = set() if lease.move.retire_all else set(unmoved_tags(row))
        steps = _steps(lease, row, unmoved)
        if steps:
            empty(lease, row, row.source, steps)
        after = read_live(lease, row.source)
        # A tag that answers 404 stands for nothing, unless it was named: 2.8 can go on listing it.
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
    """Return the steps that empty an old repository of what may go.

    Args:
        unmoved: tags that stay, also if the new name has parts of them.
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
    if staying:  # it may need any manifest, so only tags go
        steps += [
            RemovalStep("tag", repository=row.source, tag=tag, digest=digest)
            for tag, digest in sorted(going.items())
        ]
    elif going:
        steps.append(RemovalStep("image", repository=row.source, tags=going))
    return steps


def _unreadable_that_go(lease: MoveLease, row: MovedRepository, found: LiveTags) -> set[str]:
    """Return the tags of the old name that can't be read and may go.

    One that answers 404 stands for nothing, such as a tag that was removed before the move and
    that 2.8 goes on listing: the index does not know tags of the old name any longer. Another
    one goes if it was left out, or has its copy under the new name.
    """
    nothing = found.damaged.keys() - found.faulty
    return nothing | left_out_of(lease, row.source) | live(lease, row.target).keys()


def keep(session: Session, move: Move, until: datetime | None = None) -> None:
    """Let the old path be pulled until then; None until somebody decides."""
    move.grace_until = until
    session.execute(
        update(OldPath)
        .where(OldPath.move_id == move.id)
        .values(until=until)
        .execution_options(synchronize_session=False)
    )


def undo(lease: MoveLease, rows: Iterable[MovedRepository]) -> None:
    """Take away what was copied; the old names have everything.

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
    """Return those digests that the new name does not have."""
    end_read()
    target, lacking = RepositoryName(row.target), set()
    for digest in sorted(digests):
        lease.renew()
        try:
            registry().head(target, Digest(digest))
        except (RegistryNotFound, RegistryFault):
            lacking.add(digest)
    return lacking
