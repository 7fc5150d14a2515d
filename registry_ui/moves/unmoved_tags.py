"""Tags that stay at a move's old path because they cannot be copied.

A tag that the registry refuses to copy must not stop the move of the remaining tags. It is listed
with the reason, stays at the old path, and is deleted there only if a user asks for that.
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
MAX_LISTED_TAGS = 200
#: Advice for users about unmoved tags.
ADVICE = (
    "Those that can be read can still be pulled by their old paths. Build each again and push it "
    "to the new path, or fix the cause and copy it there; then retire the old path."
)
NONE_COPIED = "None of the tags can be copied, for example {}: {}."


@dataclass(frozen=True, slots=True)
class Unmoved:
    """A tag that cannot be copied: its digest, and the reason to show to users.

    ``digest`` is "" if the digest is not known.
    """

    digest: str
    reason: str


def record_unmoved(
    lease: MoveLease, row: MovedRepository, tags: Collection[str], unmoved: Mapping[str, Unmoved]
) -> None:
    """Record which tags of a batch could not be copied.

    Args:
        lease: the lease of the move.
        row: the moved repository.
        tags: all tags of the batch; their earlier records are replaced.
        unmoved: the tags that could not be copied, by name.
    """
    recorded = _load_unmoved(row, tags)
    if recorded == dict(unmoved):
        return
    key = {"move_id": row.move_id, "number": row.number}
    rows = [
        {**key, "tag": tag, "digest": record.digest, "reason": record.reason}
        for tag, record in unmoved.items()
    ]
    with writing() as session:
        lease.update(session)
        _delete_records(session, row, recorded)
        if rows:
            insert_all_if_absent(session, UnmovedTag, rows)


def forget_others(lease: MoveLease, row: MovedRepository, names: Collection[str]) -> None:
    """Delete the records of unmoved tags except those that the old path still has (``names``)."""
    deleted = _load_unmoved(row).keys() - set(names)
    if deleted:
        with writing() as session:
            lease.update(session)
            _delete_records(session, row, deleted)


def _delete_records(session: Session, row: MovedRepository, tags: Collection[str]) -> None:
    if tags:
        is_of_row = (UnmovedTag.move_id == row.move_id) & (UnmovedTag.number == row.number)
        session.execute(
            delete(UnmovedTag)
            .where(is_of_row, UnmovedTag.tag.in_(tags))
            .execution_options(synchronize_session=False)
        )


def unmoved_tags(row: MovedRepository) -> dict[str, str]:
    """Return the digest by name for each tag that stays at the old path; "" if not known."""
    return {tag: record.digest for tag, record in _load_unmoved(row).items()}


def _load_unmoved(row: MovedRepository, tags: Collection[str] | None = None) -> dict[str, Unmoved]:
    query = select(UnmovedTag.tag, UnmovedTag.digest, UnmovedTag.reason).where(
        UnmovedTag.move_id == row.move_id, UnmovedTag.number == row.number
    )
    if tags is not None:
        query = query.where(UnmovedTag.tag.in_(tags))
    return {tag: Unmoved(digest, reason) for tag, digest, reason in db.session.execute(query)}


def unmoved_from_damage(row: MovedRepository, damage: Mapping[str, str]) -> dict[str, Unmoved]:
    """Return unreadable tags as unmoved tags, with their digests if the index has them.

    The index is the database's copy of the registry's tags.

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
    return {tag: Unmoved(digests.get(tag) or "", DAMAGES[kind]) for tag, kind in damage.items()}


def count_unmoved(move: Move) -> int:
    """Return the number of tags of a move that stay at the old path."""
    query = select(func.count()).select_from(UnmovedTag).where(UnmovedTag.move_id == move.id)
    return db.session.scalar(query) or 0


def list_unmoved(move: Move) -> list[tuple[str, str]]:
    """Return the first few tags of a move that stay at the old path, with the reasons.

    Returns:
        Tuples of old reference ("repository:tag") and reason, at most MAX_LISTED_TAGS.
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
        .limit(MAX_LISTED_TAGS)
    )
    return [(f"{path}:{tag}", reason) for path, tag, reason in db.session.execute(query)]


def why_nothing_was_copied(move: Move) -> str | None:
    """Return why no tag could be copied; None if one was copied or there was none to copy.

    If every tag fails, the cause is not in the tags, and leaving all of them out is no remedy: the
    move would change the path and leave the content behind.
    """
    is_unmoved = exists().where(
        UnmovedTag.move_id == CopiedTag.move_id,
        UnmovedTag.number == CopiedTag.number,
        UnmovedTag.tag == CopiedTag.tag,
    )
    copied = select(CopiedTag.tag).where(CopiedTag.move_id == move.id, ~is_unmoved).limit(1)
    if db.session.scalar(copied) is not None:
        return None
    examples = list_unmoved(move)
    return NONE_COPIED.format(*examples[0]) if examples else None
