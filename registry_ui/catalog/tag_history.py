"""History of tags: which digest a tag pointed to, and when.

An entry is written in the transaction that changes the tag, and is kept until the image is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ScalarResult, func, insert, or_, select
from sqlalchemy.orm import Session

from ..audit import OWN_SUBJECT
from ..models import ContainerImage, RegistryEvent, Tag, TagHistoryEntry
from .push_log import PushedTag


def record_tag_push(session: Session, tag: Tag, push: PushedTag, source: str = "") -> None:
    """Add a push or a copy of a tag to the tag's history.

    Must be called before the tag's row changes, because a tag without history also gets an entry
    for the digest that it has now.

    Args:
        session: the session of the transaction that changes the tag.
        tag: the row before the change.
        push: the push that an event reported, or the copy that this application made.
        source: the reference that the tag was copied from; "" for a push by a client.
    """
    if tag.digest != push.digest:
        record_state_before(session, [tag])
    session.add(
        TagHistoryEntry(
            image_id=tag.image_id,
            tag=tag.name,
            action="copied" if source else "pushed",
            digest=push.digest,
            actor=push.actor,
            at=push.at,
            source=source,
        )
    )


def record_state_before(session: Session, tags: Iterable[Tag]) -> None:
    """Add the current digests of tags to their history, for tags without any history entry.

    Args:
        session: the session of the transaction that changes the tags.
        tags: rows of tags of one image, before they change.
    """
    readable = [tag for tag in tags if tag.digest is not None]
    if not readable:
        return
    query = select(TagHistoryEntry.tag).where(
        TagHistoryEntry.image_id == readable[0].image_id,
        TagHistoryEntry.tag.in_({tag.name for tag in readable}),
    )
    recorded_names = set(session.scalars(query))
    for tag in readable:
        if tag.name not in recorded_names:
            record_found(session, tag, tag.seen_at)


def record_found(session: Session, tag: Tag, at: datetime) -> None:
    """Record that the registry has a tag with its current digest, although no event reported it."""
    session.add(
        TagHistoryEntry(
            image_id=tag.image_id, tag=tag.name, action="found", digest=tag.digest or "", at=at
        )
    )


def record_restored(session: Session, tag: Tag, actor: str, at: datetime) -> None:
    """Add to a tag's history that a user restored the tag from the trash."""
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
    """Add to the history of tags that the registry no longer has them.

    Args:
        session: the session of the current transaction.
        tags: rows of tags of one image.
        at: when their absence was found.
        actor: the user who removed tags in this application, or ""; used for tags whose deletion
            events name no user.
    """
    removed_tags = list(tags)
    if not removed_tags:
        return
    actors = _find_removing_users(session, removed_tags)
    rows = [
        {
            "image_id": tag.image_id,
            "tag": tag.name,
            "action": "removed",
            "digest": tag.digest or "",
            "actor": actors.get(tag.name) or actors.get(tag.digest or "") or actor,
            "at": at,
        }
        for tag in removed_tags
    ]
    session.execute(insert(TagHistoryEntry), rows)


def _find_removing_users(session: Session, removed_tags: list[Tag]) -> dict[str, str]:
    """Return the users who deleted these tags or their digests, according to deletion events.

    Events of this application's own calls are left out, because they don't name the user.

    Returns:
        User names by tag name, or by digest for events without a tag.
    """
    events = session.execute(
        select(RegistryEvent.tag, RegistryEvent.digest, RegistryEvent.actor)
        .where(
            RegistryEvent.image_id == removed_tags[0].image_id,
            RegistryEvent.action == "delete",
            RegistryEvent.actor.not_in(("", OWN_SUBJECT)),
            # A deletion before the last push affected an earlier tag of the same name.
            RegistryEvent.received_at >= min(tag.seen_at for tag in removed_tags),
            or_(
                RegistryEvent.tag.in_({tag.name for tag in removed_tags}),
                RegistryEvent.digest.in_({tag.digest for tag in removed_tags if tag.digest}),
            ),
        )
        .order_by(RegistryEvent.id)
    ).all()
    return {event.tag or event.digest: event.actor for event in events}


def history_of(
    session: Session, image: ContainerImage, tag: str, limit: int
) -> tuple[ScalarResult[TagHistoryEntry], int]:
    """Return the newest ``limit`` history entries of a tag, newest first, and the number of all."""
    conditions = (TagHistoryEntry.image_id == image.id, TagHistoryEntry.tag == tag)
    total = (
        session.scalar(select(func.count()).select_from(TagHistoryEntry).where(*conditions)) or 0
    )
    query = (
        select(TagHistoryEntry)
        .where(*conditions)
        .order_by(TagHistoryEntry.at.desc(), TagHistoryEntry.id.desc())
    )
    return session.scalars(query.limit(limit)), total
