"""Tags that stay at the old path because they can't be copied: named, kept, and explained.

One image that the registry refuses must not stop the move of all others. It stays at the old
path, and is deleted there only if a person asks for that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from ..catalog.live_tags import DAMAGES
from ..db.prepared import insert_all_if_absent
from ..db.session import db, writing
from ..models import ContainerImage, CopiedTag, Move, MovedRepository, Tag, UnmovedTag
from .lease import MoveLease

#: Maximum number of such tags that a page names.
LISTED = 200
#: What can be done about them, for people.
ADVICE = (
    "Those that can be read can still be pulled by their old names. Build each again and push it "
    "to the new name, or fix the cause and copy it there; then retire the old name."
)
NONE_COPIED = "None of the tags can be copied, for example {}: {}."


@dataclass(frozen=True, slots=True)
class Unmoved:
    """What a tag stands for, "" if that is not known, and the reason why it can't be copied."""

    digest: str
    reason: str


def record_unmoved(
    lease: MoveLease, row: MovedRepository, tags: Collection[str], unmoved: Mapping[str, Unmoved]
) -> None:
    """Keep which of some tags could not be copied; the others were, or are gone."""
    known = _of_row(row, tags)
    if known == dict(unmoved):
        return
    key = {"move_id": row.move_id, "number": row.number}
    rows = [
        {**key, "tag": tag, "digest": one.digest, "reason": one.reason}
        for tag, one in unmoved.items()
    ]
    with writing() as session:
        lease.update(session)
        _forget(session, row, known)
        if rows:
            insert_all_if_absent(session, UnmovedTag, rows)


def forget_others(lease: MoveLease, row: MovedRepository, names: Collection[str]) -> None:
    """Forget tags that the old path does not have any more."""
    gone = _of_row(row).keys() - set(names)
    if gone:
        with writing() as session:
            lease.update(session)
            _forget(session, row, gone)


def _forget(session: Session, row: MovedRepository, tags: Collection[str]) -> None:
    if tags:
        here = (UnmovedTag.move_id == row.move_id) & (UnmovedTag.number == row.number)
        session.execute(
            delete(UnmovedTag)
            .where(here, UnmovedTag.tag.in_(tags))
            .execution_options(synchronize_session=False)
        )


def unmoved_tags(row: MovedRepository) -> dict[str, str]:
    """Return the tags of a repository that stay at the old path, with their digests."""
    return {tag: one.digest for tag, one in _of_row(row).items()}


def _of_row(row: MovedRepository, tags: Collection[str] | None = None) -> dict[str, Unmoved]:
    query = select(UnmovedTag.tag, UnmovedTag.digest, UnmovedTag.reason).where(
        UnmovedTag.move_id == row.move_id, UnmovedTag.number == row.number
    )
    if tags is not None:
        query = query.where(UnmovedTag.tag.in_(tags))
    return {tag: Unmoved(digest, reason) for tag, digest, reason in db.session.execute(query)}


def damaged(row: MovedRepository, damage: Mapping[str, str]) -> dict[str, Unmoved]:
    """Return tags that can't be read, with the digest that the index knows of each."""
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == row.source, Tag.name.in_(damage))
    )
    digests = dict(db.session.execute(query).all()) if damage else {}
    return {tag: Unmoved(digests.get(tag) or "", DAMAGES[how]) for tag, how in damage.items()}


def count_unmoved(move: Move) -> int:
    """Return how many tags stay at the old path."""
    query = select(func.count()).select_from(UnmovedTag).where(UnmovedTag.move_id == move.id)
    return db.session.scalar(query) or 0


def list_unmoved(move: Move) -> list[tuple[str, str]]:
    """Return the first tags that stay at the old path, by old name, with the reasons."""
    query = (
        select(MovedRepository.source, UnmovedTag.tag, UnmovedTag.reason)
        .join(
            MovedRepository,
            (MovedRepository.move_id == UnmovedTag.move_id)
            & (MovedRepository.number == UnmovedTag.number),
        )
        .where(UnmovedTag.move_id == move.id)
        .order_by(UnmovedTag.number, UnmovedTag.tag)
        .limit(LISTED)
    )
    return [(f"{path}:{tag}", reason) for path, tag, reason in db.session.execute(query)]


def why_nothing_was_copied(move: Move) -> str | None:
    """Return why no tag at all could be copied; None if one was, or if there was none to copy.

    Then the cause is not the tags, and a move would only take away the name of everything.
    """
    also_unmoved = exists().where(
        UnmovedTag.move_id == CopiedTag.move_id,
        UnmovedTag.number == CopiedTag.number,
        UnmovedTag.tag == CopiedTag.tag,
    )
    copied = select(CopiedTag.tag).where(CopiedTag.move_id == move.id, ~also_unmoved).limit(1)
    if db.session.scalar(copied) is not None:
        return None
    listed = list_unmoved(move)
    return NONE_COPIED.format(*listed[0]) if listed else None
