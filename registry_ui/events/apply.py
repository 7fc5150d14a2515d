"""Apply stored events to the index (the database's copy of the registry's tags).

Each event is applied exactly once, in its own transaction. The order does not matter.

A push creates images and tags. A deletion is only a hint: the event of a deleted manifest looks
like that of a deleted blob (PROTOCOLS 3.2), so the image is marked, and the worker reconciles the
image with the registry.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from ..access import former_name
from ..access.lookup import owning_project
from ..audit import OWN_SUBJECT
from ..catalog import tag_claims, tag_history, violations
from ..catalog.images import count_tags, ensure_image
from ..catalog.pull_through import is_cache
from ..catalog.push_log import PushedTag, record_push
from ..db.keyset import select_in_batches
from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..db.statements import update_count
from ..distribution.notifications import Notification, parse_event
from ..models import UNASSIGNED, ContainerImage, RegistryEvent, Tag, UnassignedRepository, utc_now
from ..names import is_trash_tag
from .cached import index_pulled
from .old_paths import request_comparison
from .pulls import apply_pull

logger = logging.getLogger(__name__)

BATCH_SIZE = 500
#: Maximum number of attempts to apply an event that violates a database constraint. More attempts
#: would hold back all other events.
MAX_ATTEMPTS = 3


@dataclass(slots=True)
class ApplyResult:
    """The result of applying all pending events, for the jobs that run next.

    ``count`` is the number of applied events, ``pushed`` are the (repository, digest) pairs of
    manifests that should be fetched. ``needs_reconcile`` is True if an image must be reconciled.
    """

    count: int = 0
    pushed: set[tuple[str, str]] = field(default_factory=set)
    needs_reconcile: bool = False


def apply_pending() -> ApplyResult:
    """Apply every pending event, oldest first. Several processes can do so concurrently."""
    result = ApplyResult()
    query = select(RegistryEvent.id).where(RegistryEvent.status == "pending")
    for rows in select_in_batches(db.session(), query, RegistryEvent.id, BATCH_SIZE):
        for (event_id,) in rows:
            try:
                _apply(event_id, result)
            except DataError:
                # The database can't store or return a value, and a retry would not help.
                logger.exception("event %s can't be stored", event_id)
                _set_aside(event_id, "holds a value that can't be stored")
            except IntegrityError:
                logger.exception("event %s can't be applied", event_id)
                _set_aside(event_id, "contradicts what is stored")
            except DBAPIError:
                raise  # The database failed, not the event, so the event stays pending.
            except Exception as error:
                logger.exception("event %s can't be applied", event_id)
                _set_aside(event_id, f"can't be applied: {type(error).__name__}")
    return result


def _apply(event_id: int, result: ApplyResult) -> None:
    """Apply an event, and retry if a concurrent process inserted or moved the row meanwhile."""
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return _apply_one(event_id, result)
        except (IntegrityError, NoResultFound):
            continue
    return _apply_one(event_id, result)


def _set_aside(row_id: int, reason: str) -> None:
    """Reject an event that can't be applied, so that it does not hold back the others.

    The event is kept for diagnosis.
    """
    with writing() as session:
        session.execute(
            update(RegistryEvent)
            .where(RegistryEvent.id == row_id)
            .values(status="rejected", reason=reason)
        )


def _apply_one(row_id: int, result: ApplyResult) -> None:
    """Mark an event as applied and apply it, in one transaction, so that no process repeats it."""
    with writing() as session:
        statement = (
            update(RegistryEvent)
            .where(RegistryEvent.id == row_id, RegistryEvent.status == "pending")
            .values(status="applied")
        )
        if not update_count(session, statement):
            return
        row = session.get_one(RegistryEvent, row_id, populate_existing=True)
        event = parse_event(json.loads(row.raw))
        # The registry's clock may be ahead. A time in the future would override later events.
        at = min(event.occurred_at or row.received_at, utc_now())
        former = former_name(session, event.repository)
        if former is None:
            effect = _apply_to_index(session, event, at, result)
        else:
            effect = _apply_to_old_path(session, event, former.new_path, at)
        row.status, row.reason, row.image_id = effect
        result.count += 1


def _apply_to_old_path(
    session: Session, event: Notification, new_path: str, at: datetime
) -> tuple[str, str, int | None]:
    """Apply an event about the old path of a moved image.

    A pull is counted for those tags of the new path that point to the pulled digest. After a push
    or a deletion, the two paths are compared. Pushes to an old path are not allowed: a push that
    succeeds because it began before the move does not change the new path.

    Returns:
        The event's new status, the reason for the status, and the image's id or None.
    """
    if event.actor == OWN_SUBJECT:
        return "dropped", "our own call to the registry", None
    if event.action == "pull" and event.is_manifest:
        moved = replace(event, repository=new_path)
        return apply_pull(session, moved, at, by_old_name=True)
    if event.action not in {"push", "delete"} or (event.action == "push" and not event.is_manifest):
        return "dropped", "nothing to index", None
    request_comparison(session, event.repository)
    return "rejected", f"a {event.action} to the old name of {new_path}", None


def _apply_to_index(
    session: Session, event: Notification, at: datetime, result: ApplyResult
) -> tuple[str, str, int | None]:
    """Apply an event about a current path.

    Returns:
        The event's new status, the reason for the status, and the image's id or None.
    """
    is_own = event.actor == OWN_SUBJECT
    if event.action == "delete":
        return _apply_delete(session, event, result)
    if is_own:
        return "dropped", "our own call to the registry", None
    if not event.is_manifest:
        return "dropped", "about a blob", None
    if event.action == "push":
        return _apply_push(session, event, at, result)
    if event.action == "pull":
        if is_cache() and index_pulled(session, event, at):
            result.pushed.add((event.repository, event.digest))
        return apply_pull(session, event, at)
    return "dropped", "nothing to index", None


def _apply_push(
    session: Session, event: Notification, at: datetime, result: ApplyResult
) -> tuple[str, str, int | None]:
    if is_trash_tag(event.tag):
        return "dropped", "a tag of the trash", None
    project = owning_project(session, event.repository)
    if project is None:
        _record_unassigned(session, event, at)
        return "applied", UNASSIGNED, None
    image = ensure_image(session, project, event.repository)
    if image.last_push_at is None or image.last_push_at <= at:
        image.last_push_at, image.last_pushed_by = at, event.actor or None
    if event.tag and event.digest:
        push = PushedTag(event.tag, event.digest, event.actor, at)
        _update_tag(session, image, push)
        tag_claims.expire_soon(session, event.repository, event.tag)
        record_push(session, image, push)
        result.pushed.add((event.repository, event.digest))
    if image.reconciled_at is None:
        image.reconcile_wanted = True
        result.needs_reconcile = True
    return "applied", "", image.id


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


def _apply_delete(
    session: Session, event: Notification, result: ApplyResult
) -> tuple[str, str, int | None]:
    image = session.scalar(select(ContainerImage).where(ContainerImage.path == event.repository))
    if image is None:
        return "dropped", "an image that the index does not have", None
    image.reconcile_wanted = True
    result.needs_reconcile = True
    return "applied", "the registry is asked what is left", image.id
