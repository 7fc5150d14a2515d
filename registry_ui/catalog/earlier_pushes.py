"""Carry over earlier pushes: those to a repository before a project owned it ("unassigned").

The push events of an unassigned repository are stored until they are pruned. If a project is
created over the repository (adoption), their pushes are added to the new image. A carried-over
event then refers to the image, so each event counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, insert, literal_column, select, update
from sqlalchemy.orm import Session

from ..models import UNASSIGNED, ContainerImage, RegistryEvent, Tag, TagHistoryEntry, utc_now
from .push_log import PushedTag, record_pushes

#: Maximum number of events carried over per repository. The newest ones are used.
MAX_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class LastPush:
    """Time and author of the last push to an unassigned repository; None if unknown.

    Both are stored in the repository's row, so they are known even after the event was pruned.
    """

    at: datetime | None = None
    actor: str | None = None


def carry_over(session: Session, image: ContainerImage, recorded_push: LastPush) -> None:
    """Add the pushes made before a project owned the repository to its new image.

    The pushes are added to the push log and to the tag history. A tag that still has the digest
    of its last push also gets the push's time and author. The age of a tag still counts from the
    adoption, because earlier pulls are not recorded.

    Args:
        session: the session of the current transaction.
        image: the image. The caller has locked its row, so that two workers don't carry over the
            same events.
        recorded_push: the last push to the repository before a project owned it.
    """
    pushes = _select_earlier_pushes(session, image)
    if pushes:
        session.execute(
            update(RegistryEvent)
            .where(_is_event_of(image))
            .values(image_id=image.id, reason="")
            .execution_options(synchronize_session=False)
        )
        tag_pushes = [push for push in pushes if push.tag and push.digest]
        record_pushes(session, image, tag_pushes)
        _add_history_entries(session, image, tag_pushes)
        _set_push_times(session, image, tag_pushes)
    for last_push in (recorded_push, *(LastPush(push.at, push.actor) for push in pushes)):
        if last_push.at and (image.last_push_at is None or image.last_push_at < last_push.at):
            image.last_push_at, image.last_pushed_by = last_push.at, last_push.actor or None


def _is_event_of(image: ContainerImage) -> ColumnElement[bool]:
    # The database uses its partial index only if the reason is a literal, not a parameter.
    reason: ColumnElement[str] = literal_column(f"'{UNASSIGNED}'")
    return and_(RegistryEvent.repository == image.path, RegistryEvent.reason == reason)


def _select_earlier_pushes(session: Session, image: ContainerImage) -> list[PushedTag]:
    """Return the pushes to a repository before a project owned it, in chronological order.

    The result is limited to the newest MAX_EVENTS.
    """
    at = func.coalesce(RegistryEvent.occurred_at, RegistryEvent.received_at)
    query = (
        select(RegistryEvent.tag, RegistryEvent.digest, RegistryEvent.actor, at)
        .where(_is_event_of(image))
        .order_by(RegistryEvent.id.desc())
        .limit(MAX_EVENTS)
    )
    now = utc_now()
    pushes = [
        PushedTag(tag, digest, actor, min(at, now))
        for tag, digest, actor, at in session.execute(query)
    ]
    pushes.reverse()  # The sort is stable: among equal times, the order of receipt is kept.
    return sorted(pushes, key=lambda push: push.at)


def _add_history_entries(
    session: Session, image: ContainerImage, pushes: Iterable[PushedTag]
) -> None:
    rows = [
        {
            "image_id": image.id,
            "tag": push.tag,
            "action": "pushed",
            "digest": push.digest,
            "actor": push.actor,
            "at": push.at,
        }
        for push in pushes
    ]
    if rows:
        session.execute(insert(TagHistoryEntry), rows)


def _set_push_times(session: Session, image: ContainerImage, pushes: Iterable[PushedTag]) -> None:
    """Set the unknown push times and authors of tags that still have the digest of their last push.

    Args:
        pushes: earlier pushes to the image's repository, in chronological order.
    """
    last_pushes = {push.tag: push for push in pushes}
    query = select(Tag).where(
        Tag.image_id == image.id, Tag.name.in_(last_pushes), Tag.pushed_at.is_(None)
    )
    for tag in session.scalars(query):
        push = last_pushes[tag.name]
        if push.digest == tag.digest:
            tag.pushed_at, tag.pushed_by = push.at, push.actor or None
