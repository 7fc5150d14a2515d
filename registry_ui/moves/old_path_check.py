"""Compare old paths with what was moved, and stop serving those that were changed.

Nobody is granted a push to an old path, but a push that was begun before the move can be
finished behind it, directly at the registry or by a proxy that does not receive manifests
whole. The old path would then serve the image of somebody who has no permission any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy import Select, or_, select, update

from ..access.lookup import prefixes
from ..audit import REGISTRY, record
from ..catalog.live_tags import LiveTags, read_tags
from ..db.session import db, end_read, writing
from ..distribution.errors import RegistryError, RegistryNotFound
from ..enumerations import name_some
from ..models import CopiedTag, Move, MovedRepository, OldPath, utc_now
from ..names import RepositoryName
from ..registry_connection import is_answering, registry
from .unmoved_tags import unmoved_tags

logger = logging.getLogger(__name__)

#: Number of tags that are compared at a time.
BATCH = 200
#: States of a repository that can still be pulled by its old path.
SERVED = ("verified", "kept")


def compare_due() -> None:
    """Compare the old paths of moves whose time for it has come."""
    _compare(select(Move.id).where(Move.compare_at <= utc_now()))


def compare_all() -> None:
    """Compare every old path that can be pulled."""
    _compare(select(Move.id))


def _compare(query: Select[int]) -> None:
    served = query.where(Move.state == "grace").order_by(Move.id)
    for move_id in db.session.scalars(served).all():
        try:
            _compare_move(move_id)
        except RegistryError as error:
            # Asked again in a minute: what can't be read is not served by the registry either.
            logger.warning("the old path of move %s can't be compared: %s", move_id, error)


def _compare_move(move_id: int) -> None:
    started = utc_now()
    rows = select(MovedRepository).where(
        MovedRepository.move_id == move_id, MovedRepository.state.in_(SERVED)
    )
    problem: RegistryError | None = None
    for row in db.session.scalars(rows).all():
        try:
            changed = _changed_tags(row)
        except RegistryError as error:
            if not is_answering():
                raise
            problem = error  # of this repository alone: the others are compared
            continue
        if changed:
            _stop(row, changed)
    if problem is not None:
        raise problem
    with writing() as session:
        session.execute(
            update(Move)
            .where(Move.id == move_id, Move.compare_at <= started)
            .values(compare_at=None)
            .execution_options(synchronize_session=False)
        )


def _changed_tags(row: MovedRepository) -> list[str]:
    """Return the tags of an old path that are not what was moved; missing ones serve nothing.

    Raises:
        RegistryError: the registry can't be asked, or does not answer for a tag now. All others
            were compared by then: no tag hides another.
    """
    moved = _moved_tags(row)
    repository, live = RepositoryName(row.source), LiveTags()
    end_read()
    try:
        names = registry().tags(repository)
    except RegistryNotFound:
        return []
    for start in range(0, len(names), BATCH):
        live.add(read_tags(repository, names[start : start + BATCH]))
    # What can't be read serves nothing either.
    changed = [tag for tag, digest in live.digests.items() if (tag, digest) not in moved]
    if not changed:
        live.require_answers()
    return changed


def _moved_tags(row: MovedRepository) -> set[tuple[str, str]]:
    """Return what each tag had at the switch.

    A tag that could not be copied stays there as it was. A move that is older than this record
    has all that its tags were copied as.
    """
    here = (CopiedTag.move_id == row.move_id) & (CopiedTag.number == row.number)
    found = db.session.execute(
        select(CopiedTag.tag, CopiedTag.digest, CopiedTag.verified).where(here)
    ).all()
    has_record = any(verified for _, _, verified in found)
    copied = {(tag, digest) for tag, digest, verified in found if verified or not has_record}
    return copied | set(unmoved_tags(row).items())


def _stop(row: MovedRepository, changed: Iterable[str]) -> None:
    """Stop serving a repository by its old path, with an audit entry, and say so on the page."""
    above = prefixes(row.source)
    tags = name_some(changed)
    with writing() as session:
        move = session.get_one(Move, row.move_id, with_for_update=True, populate_existing=True)
        if move.state != "grace":
            # Retired, or being retired, since it was read: what is there goes, or is shown.
            return
        covering = session.scalars(
            select(OldPath)
            .where(
                OldPath.path.in_(above),
                or_(OldPath.path == row.source, OldPath.exact.is_(False)),
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()
        former = max(covering, key=lambda found: len(found.path), default=None)
        if former is None or row.source in former.stopped.split("\n"):
            return
        former.stopped = f"{former.stopped}\n{row.source}".strip()
        problem = (
            f"{row.source} can no longer be pulled: after the move, someone pushed {tags} there. "
            f"Everything is at {row.target} as it was moved. Check who could write to the old "
            "name, then retire it."
        )
        move.problem = f"{move.problem} {problem}".strip()
        record(session, REGISTRY, "image.old_name.stop", row.source, tags=tags)
