"""Apply stored events to the index (the database's copy of the registry's tags).

Each event is applied exactly once, in its own transaction. The order does not matter.

A push creates images and tags. A deletion is only a hint: the event of a deleted manifest looks
like that of a deleted blob (PROTOCOLS 3.2), so the image is marked, and the worker reconciles the
image with the registry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from ..access import find_old_path
from ..access.lookup import owning_project
from ..audit import OWN_SUBJECT
from ..catalog import tag_claims, tag_history, violations
from ..catalog.images import count_tags, ensure_image
from ..catalog.pull_through import is_cache
from ..catalog.push_log import PushedTag, record_push
from ..db.keyset import select_in_batches
from ..db.prepared import insert_if_absent
from ..db.session import db, end_read, writing
from ..db.statements import update_count
from ..distribution.notifications import Notification, parse_event
from ..models import UNASSIGNED, ContainerImage, RegistryEvent, Tag, UnassignedRepository, utc_now
from ..names import is_trash_tag
from .cached import index_pulled
from .old_paths import request_comparison
from .outcome import EventOutcome, ManifestReference
from .pulls import apply_pull

logger = logging.getLogger(__name__)

BATCH_SIZE = 500
#: Maximum number of attempts to apply an event that violates a database constraint. More attempts
#: would hold back all other events.
MAX_ATTEMPTS = 3


def pending_event_ids() -> Iterator[int]:
    """Yield the ids of the pending events, oldest first.

    They are read in batches, so that events that arrive in the meantime are included.
    """
    query = select(RegistryEvent.id).where(RegistryEvent.status == "pending")
    for rows in select_in_batches(db.session(), query, RegistryEvent.id, BATCH_SIZE):
        for (event_id,) in rows:
            yield event_id
    end_read()


def apply_event(event_id: int) -> EventOutcome | None:
    """Apply an event, or reject it if it can't be applied.

    Several processes can apply events concurrently; each event is applied by only one of them.

    Returns:
        The outcome, which is committed; None if the event is no longer pending.

    Raises:
        DBAPIError: the database failed, and the event stays pending.
    """
    try:
        return _apply(event_id)
    except DataError:
        # The database can't store or return a value, and a retry would not help.
        logger.exception("event %s can't be stored", event_id)
        return _reject(event_id, "holds a value that can't be stored")
    except IntegrityError:
        logger.exception("event %s can't be applied", event_id)
        return _reject(event_id, "contradicts what is stored")
    except DBAPIError:
        raise  # The database failed, not the event, so the event stays pending.
    except Exception as error:
        logger.exception("event %s can't be applied", event_id)
        return _reject(event_id, f"can't be applied: {type(error).__name__}")


def _apply(event_id: int) -> EventOutcome | None:
    """Apply an event, and retry if a concurrent process inserted or moved the row meanwhile."""
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return _apply_one(event_id)
        except (IntegrityError, NoResultFound):
            continue
    return _apply_one(event_id)


def _reject(row_id: int, reason: str) -> EventOutcome:
    """Reject an event that can't be applied, so that it does not hold back the others.

    The event is kept for diagnosis.
    """
    outcome = EventOutcome("rejected", reason)
    with writing() as session:
        session.execute(
            update(RegistryEvent)
            .where(RegistryEvent.id == row_id)
            .values(status=outcome.status, reason=outcome.reason)
        )
    return outcome


def _apply_one(row_id: int) -> EventOutcome | None:
    """Mark an event as applied and apply it, in one transaction, so that no process repeats it.

    Returns:
        The outcome, or None if a different process has applied the event.
    """
    with writing() as session:
        statement = (
            update(RegistryEvent)
            .where(RegistryEvent.id == row_id, RegistryEvent.status == "pending")
            .values(status="applied")
        )
        if not update_count(session, statement):
            return None
        row = session.get_one(RegistryEvent, row_id, populate_existing=True)
        event = parse_event(json.loads(row.raw))
        # The registry's clock may be ahead. A time in the future would override later events.
        at = min(event.occurred_at or row.received_at, utc_now())
        old_path = find_old_path(session, event.repository)
        if old_path is None:
            outcome = _apply_to_index(session, event, at)
        else:
            outcome = _apply_to_old_path(session, event, old_path.new_path, at)
        row.status, row.reason, row.image_id = outcome.status, outcome.reason, outcome.image_id
    return outcome


def _apply_to_old_path(
    session: Session, event: Notification, new_path: str, at: datetime
) -> EventOutcome:
    """Apply an event about the old path of a moved image.

    A pull is counted for those tags of the new path that point to the pulled digest. After a push
    or a deletion, the two paths are compared. Pushes to an old path are not allowed: a push that
    succeeds because it began before the move does not change the new path.
    """
    if event.actor == OWN_SUBJECT:
        return EventOutcome("dropped", "our own call to the registry")
    if event.action == "pull" and event.is_manifest:
        moved = replace(event, repository=new_path)
        return apply_pull(session, moved, at, by_old_path=True)
    if event.action not in {"push", "delete"} or (event.action == "push" and not event.is_manifest):
        return EventOutcome("dropped", "nothing to index")
    request_comparison(session, event.repository)
    return EventOutcome("rejected", f"a {event.action} to the old path of {new_path}")


def _apply_to_index(session: Session, event: Notification, at: datetime) -> EventOutcome:
    """Apply an event about a current path."""
    if event.action == "delete":
        return _apply_delete(session, event)
    if event.actor == OWN_SUBJECT:
        return EventOutcome("dropped", "our own call to the registry")
    if not event.is_manifest:
        return EventOutcome("dropped", "about a blob")
    if event.action == "push":
        return _apply_push(session, event, at)
    if event.action == "pull":
        is_new = is_cache() and index_pulled(session, event, at)
        outcome = apply_pull(session, event, at)
        manifest = ManifestReference(event.repository, event.digest)
        return replace(outcome, manifest_to_fetch=manifest) if is_new else outcome
    return EventOutcome("dropped", "nothing to index")


def _apply_push(session: Session, event: Notification, at: datetime) -> EventOutcome:
    if is_trash_tag(event.tag):
        return EventOutcome("dropped", "a tag of the trash")
    project = owning_project(session, event.repository)
    if project is None:
        _record_unassigned(session, event, at)
        return EventOutcome("applied", UNASSIGNED)
    image = ensure_image(session, project, event.repository)
    if image.last_push_at is None or image.last_push_at <= at:
        image.last_push_at, image.last_pushed_by = at, event.actor or None
    is_tag_push = bool(event.tag and event.digest)
    if is_tag_push:
        push = PushedTag(event.tag, event.digest, event.actor, at)
        _update_tag(session, image, push)
        tag_claims.expire_soon(session, event.repository, event.tag)
        record_push(session, image, push)
    manifest = ManifestReference(event.repository, event.digest)
    is_unread = image.reconciled_at is None
    if is_unread:
        image.reconcile_requested_at = utc_now()
    return EventOutcome(
        "applied",
        image_id=image.id,
        manifest_to_fetch=manifest if is_tag_push else None,
        needs_reconcile=is_unread,
    )


def _update_tag(session: Session, image: ContainerImage, push: PushedTag) -> None:
    insert_if_absent(
        session, Tag, image_id=image.id, name=push.tag, pull_count=0, seen_at=utc_now()
    )
    query = select(Tag).where(Tag.image_id == image.id, Tag.name == push.tag)
    tag = session.scalars(query.execution_options(populate_existing=True)).one()
    violations.record_violations(session, image, tag, push)
    tag_history.record_tag_push(session, tag, push)
    if tag.pushed_at is None or tag.pushed_at <= push.at:
        tag.digest, tag.pushed_at, tag.pushed_by = push.digest, push.at, push.actor or None
        tag.seen_at = utc_now()
        tag.mark_readable()
    session.flush()
    count_tags(session, image)


def _record_unassigned(session: Session, event: Notification, at: datetime) -> None:
    insert_if_absent(session, UnassignedRepository, path=event.repository, first_seen_at=utc_now())
    session.execute(
        update(UnassignedRepository)
        .where(
            UnassignedRepository.path == event.repository,
            or_(
                UnassignedRepository.last_push_at.is_(None),
                UnassignedRepository.last_push_at <= at,
            ),
        )
        .values(last_push_at=at, pushed_by=event.actor or None)
    )


def _apply_delete(session: Session, event: Notification) -> EventOutcome:
    image = session.scalar(select(ContainerImage).where(ContainerImage.path == event.repository))
    if image is None:
        return EventOutcome("dropped", "an image that the index does not have")
    image.reconcile_requested_at = utc_now()
    reason = "the registry is asked what is left"
    return EventOutcome("applied", reason, image.id, needs_reconcile=True)
