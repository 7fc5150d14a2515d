"""Tags that stay at the old path of a move because they cannot be copied.

One image that the registry refuses must not stop the move of all others. Such a tag is listed with
the reason, stays at the old path, and is deleted there only if a user asks for that.
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

#: Maximum number of unmoved tags listed on a page.
LISTED = 200
#: Advice for users about unmoved tags.
ADVICE = (
    "Those that can be read can still be pulled by their old names. Build each again and push it "
    "to the new name, or fix the cause and copy it there; then retire the old name."
)
NONE_COPIED = "None of the tags can be copied, for example {}: {}."


@dataclass(frozen=True, slots=True)
class Unmoved:
    """The digest of a tag that cannot be copied, and the reason for users.

    ``digest`` is empty if it is not known.
    """

    digest: str
    reason: str


def record_unmoved(
    lease: MoveLease, row: MovedRepository, tags: Collection[str], unmoved: Mapping[str, Unmoved]
) -> None:
    """Record the tags of a batch that could not be copied.

    Args:
        lease: the lease of the move.
        row: the moved repository.
        tags: the tags of the batch; their earlier records are replaced.
        unmoved: the tags that could not be copied.
    """
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
    """Delete the records of unmoved tags that the old path no longer has."""
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
    """Return unreadable tags as unmoved tags, with the digests that the index has for them.

    Args:
        row: the moved repository.
        damage: unreadable tags and their kind of damage, a key of DAMAGES.
    """
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == row.source, Tag.name.in_(damage))
    )
    digests = dict(db.session.execute(query).all()) if damage else {}
    return {tag: Unmoved(digests.get(tag) or "", DAMAGES[how]) for tag, how in damage.items()}


def count_unmoved(move: Move) -> int:
    """Return the number of tags that stay at the old path."""
    query = select(func.count()).select_from(UnmovedTag).where(UnmovedTag.move_id == move.id)
    return db.session.scalar(query) or 0


def list_unmoved(move: Move) -> list[tuple[str, str]]:
    """Return the first tags that stay at the old path, with the reasons.

    Returns:
        Tuples of old reference ("repository:tag") and reason, at most LISTED.
    """
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
    """Return why no tag could be copied; None if one was copied or there was none to copy.

    If all tags fail, the tags are not the cause, and the move would only take away their path.
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
