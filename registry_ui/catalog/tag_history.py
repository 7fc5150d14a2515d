"""What a tag stood for, and when: written with every change of a tag, and kept with its image."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ScalarResult, func, insert, or_, select
from sqlalchemy.orm import Session

from ..audit import OWN_SUBJECT
from ..models import ContainerImage, RegistryEvent, Tag, TagHistoryEntry


def record_tag_push(
    session: Session, tag: Tag, digest: str, at: datetime, actor: str, source: str = ""
) -> None:
    """Note a push that an event told, or a copy of our own.

    Args:
        source: the reference that the tag was copied from; "" for what a client pushed.
    """
    if tag.digest != digest:
        record_state_before(session, [tag])
    session.add(
        TagHistoryEntry(
            image_id=tag.image_id,
            tag=tag.name,
            action="copied" if source else "pushed",
            digest=digest,
            actor=actor,
            at=at,
            source=source,
        )
    )


def record_state_before(session: Session, tags: Iterable[Tag]) -> None:
    """Note what tags stand for that are about to change, where nothing was ever told of them."""
    known = [tag for tag in tags if tag.digest is not None]
    if not known:
        return
    query = select(TagHistoryEntry.tag).where(
        TagHistoryEntry.image_id == known[0].image_id,
        TagHistoryEntry.tag.in_({tag.name for tag in known}),
    )
    told = set(session.scalars(query))
    for tag in known:
        if tag.name not in told:
            record_found(session, tag, tag.seen_at)


def record_found(session: Session, tag: Tag, at: datetime) -> None:
    """Note what the registry says that a tag stands for, and of which no push told."""
    session.add(
        TagHistoryEntry(
            image_id=tag.image_id, tag=tag.name, action="found", digest=tag.digest or "", at=at
        )
    )


def record_restored(session: Session, tag: Tag, actor: str, at: datetime) -> None:
    """Note that somebody restored a tag from the bin."""
    session.add(
        TagHistoryEntry(
            image_id=tag.image_id,
            tag=tag.name,
            action="restored",
            digest=tag.digest or "",
            actor=actor,
            at=at,
        )
    )


def record_removed(session: Session, tags: Iterable[Tag], at: datetime, actor: str = "") -> None:
    """Note that the registry has these tags of one image no more.

    Args:
        actor: who had tags removed here, for those of which the registry named nobody.
    """
    gone = list(tags)
    if not gone:
        return
    told = _removed_by(session, gone)
    rows = [
        {
            "image_id": tag.image_id,
            "tag": tag.name,
            "action": "removed",
            "digest": tag.digest or "",
            "actor": told.get(tag.name) or told.get(tag.digest or "") or actor,
            "at": at,
        }
        for tag in gone
    ]
    session.execute(insert(TagHistoryEntry), rows)


def _removed_by(session: Session, gone: list[Tag]) -> dict[str, str]:
    """Return who deleted, by tag and by digest, as events told it; our own calls aside."""
    events = session.execute(
        select(RegistryEvent.tag, RegistryEvent.digest, RegistryEvent.actor)
        .where(
            RegistryEvent.image_id == gone[0].image_id,
            RegistryEvent.action == "delete",
            RegistryEvent.actor.not_in(("", OWN_SUBJECT)),
            # A deletion before the last push was that of an earlier tag of this name.
            RegistryEvent.received_at >= min(tag.seen_at for tag in gone),
            or_(
                RegistryEvent.tag.in_({tag.name for tag in gone}),
                RegistryEvent.digest.in_({tag.digest for tag in gone if tag.digest}),
            ),
        )
        .order_by(RegistryEvent.id)
    ).all()
    return {event.tag or event.digest: event.actor for event in events}


def history_of(
    session: Session, image: ContainerImage, tag: str, limit: int
) -> tuple[ScalarResult[TagHistoryEntry], int]:
    """Return what a tag stood for, the newest first, and how many moments there are in all."""
    here = (TagHistoryEntry.image_id == image.id, TagHistoryEntry.tag == tag)
    total = session.scalar(select(func.count()).select_from(TagHistoryEntry).where(*here)) or 0
    query = (
        select(TagHistoryEntry)
        .where(*here)
        .order_by(TagHistoryEntry.at.desc(), TagHistoryEntry.id.desc())
    )
    return session.scalars(query.limit(limit)), total
