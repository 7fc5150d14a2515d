"""Compare old paths with the moved content, and stop serving old paths that were changed.

No token grants a push to an old path. But a push that was started before the move can still be
completed after it, directly at the registry or through a proxy that does not receive manifests as a
whole. The old path would then serve an image from a user who no longer has permission to push it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy import Select, or_, select, update

from ..access.lookup import prefixes
from ..audit import REGISTRY, record
from ..batches import split_into_batches
from ..catalog.live_tags import LiveTags, read_tags
from ..db.session import db, end_read, writing
from ..distribution.errors import RegistryError
from ..enumerations import name_some
from ..models import CopiedTag, Move, MovedRepository, OldPath, utc_now
from ..names import RepositoryName
from ..registry_connection import is_answering, list_tags
from .unmoved_tags import unmoved_tags

logger = logging.getLogger(__name__)

#: Number of tags that are read from the registry per batch.
BATCH_SIZE = 200
#: States of a moved repository that can still be pulled by its old path.
SERVED_STATES = ("verified", "kept")


def compare_due() -> None:
    """Compare the old paths with the moved content, for all moves whose comparison is due."""
    _compare_moves(select(Move.id).where(Move.compare_at <= utc_now()))


def compare_all() -> None:
    """Compare all old paths that can still be pulled with the moved content."""
    _compare_moves(select(Move.id))


def _compare_moves(query: Select[int]) -> None:
    served = query.where(Move.state == "grace").order_by(Move.id)
    for move_id in db.session.scalars(served).all():
        try:
            _compare_move(move_id)
        except RegistryError as error:
            # The comparison is repeated in a minute. Meanwhile, the registry does not serve content
            # that it cannot read.
            logger.warning("the old path of move %s can't be compared: %s", move_id, error)


def _compare_move(move_id: int) -> None:
    started = utc_now()
    rows = select(MovedRepository).where(
        MovedRepository.move_id == move_id, MovedRepository.state.in_(SERVED_STATES)
    )
    problem: RegistryError | None = None
    for row in db.session.scalars(rows).all():
        try:
            changed = _find_changed_tags(row)
        except RegistryError as error:
            if not is_answering():
                raise
            problem = error  # Only this repository is affected, so compare the remaining ones.
            continue
        if changed:
            _stop_serving(row, changed)
    if problem is not None:
        raise problem
    with writing() as session:
        session.execute(
            update(Move)
            .where(Move.id == move_id, Move.compare_at <= started)
            .values(compare_at=None)
            .execution_options(synchronize_session=False)
        )


def _find_changed_tags(row: MovedRepository) -> list[str]:
    """Return the tags of an old path whose digest differs from the moved digest.

    Tags that are missing or unreadable are left out, because the registry does not serve them.

    Raises:
        RegistryError: the registry cannot be read, or it does not answer for a tag and no tag has
            changed. The remaining tags are compared before this error is raised, so an unreadable
            tag cannot hide a change.
    """
    moved = _load_moved_tags(row)
    repository, live = RepositoryName(row.source), LiveTags()
    end_read()
    for batch in split_into_batches(list_tags(repository), BATCH_SIZE):
        live.add(read_tags(repository, batch))
    # Compare only the tags whose digest the registry returned: it can't serve a tag that it can't
    # read, so clients can't pull wrong content by that tag.
    changed = [tag for tag, digest in live.digests.items() if (tag, digest) not in moved]
    if not changed:
        live.require_answers()
    return changed


def _load_moved_tags(row: MovedRepository) -> set[tuple[str, str]]:
    """Return the (tag, digest) pairs that the old path is expected to serve after the switch.

    A tag that could not be copied stays at the old path unchanged, so it is included. For a move
    that was made by a version without verified digests, all digests copied with a tag are returned.
    """
    is_of_row = (CopiedTag.move_id == row.move_id) & (CopiedTag.number == row.number)
    rows = db.session.execute(
        select(CopiedTag.tag, CopiedTag.digest, CopiedTag.verified).where(is_of_row)
    ).all()
    has_record = any(verified for _, _, verified in rows)
    copied = {(tag, digest) for tag, digest, verified in rows if verified or not has_record}
    return copied | set(unmoved_tags(row).items())


def _stop_serving(row: MovedRepository, changed: Iterable[str]) -> None:
    """Stop serving a repository by its old path; record that in the audit log and on the move."""
    paths = prefixes(row.source)
    tags = name_some(changed)
    with writing() as session:
        move = session.get_one(Move, row.move_id, with_for_update=True, populate_existing=True)
        if move.state != "grace":
            # The old path was retired meanwhile, or is being retired: its content is deleted or
            # reported.
            return
        old_paths = session.scalars(
            select(OldPath)
            .where(
                OldPath.path.in_(paths),
                or_(OldPath.path == row.source, OldPath.exact.is_(False)),
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()
        old_path = max(old_paths, key=lambda candidate: len(candidate.path), default=None)
        if old_path is None or row.source in old_path.stopped.split("\n"):
            return
        old_path.stopped = f"{old_path.stopped}\n{row.source}".strip()
        problem = (
            f"{row.source} can no longer be pulled: after the move, someone pushed {tags} there. "
            f"Everything is at {row.target} as it was moved. Check who could write to the old "
            "name, then retire it."
        )
        move.problem = f"{move.problem} {problem}".strip()
        record(session, REGISTRY, "image.old_path.stop", row.source, tags=tags)
