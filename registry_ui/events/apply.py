"""Apply stored events to the index: exactly once, in any order, one transaction per event.

A push creates images and tags. A deletion is only a hint: the event of a deleted manifest looks
like that of a deleted blob (PROTOCOLS 3.2), so the image is marked, and the worker reconciles it
with the registry.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from ..access import former_name
from ..access.lookup import owning_project
from ..audit import OWN_SUBJECT
from ..catalog import tag_claims, tag_history, violations
from ..catalog.images import count_tags, ensure_image
from ..catalog.pull_through import is_cache
from ..catalog.push_log import record_push
from ..db.prepared import insert_if_absent
from ..db.session import db, writing
from ..db.statements import update_count
from ..distribution.notifications import Notification, parse_event
from ..models import UNASSIGNED, ContainerImage, RegistryEvent, Tag, UnassignedRepository, utc_now
from ..names import is_binned
from .cached import index_pulled
from .old_paths import request_comparison
from .pulls import apply_pull

logger = logging.getLogger(__name__)

BATCH = 500
#: Maximum number of attempts to apply an event that violates a database constraint. More would
#: hold back all other events.
ATTEMPTS = 3


@dataclass(slots=True)
class Applied:
    """The result of a run, for the jobs that follow.

    ``count`` is the number of applied events, ``pushed`` the (repository, digest) pairs of
    manifests that should be fetched. ``doubts`` is True if an image must be reconciled.
    """

    count: int = 0
    pushed: set[tuple[str, str]] = field(default_factory=set)
    doubts: bool = False


def apply_pending() -> Applied:
    """Apply every pending event, oldest first. Several processes can run this concurrently."""
    done = Applied()
    last = 0
    while True:
        query = (
            select(RegistryEvent.id)
            .where(RegistryEvent.status == "pending", RegistryEvent.id > last)
            .order_by(RegistryEvent.id)
            .limit(BATCH)
        )
        ids = list(db.session.scalars(query))
        if not ids:
            return done
        for event_id in ids:
            last = event_id
            try:
                _apply(event_id, done)
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


def _apply(event_id: int, done: Applied) -> None:
    """Apply an event, and retry if another process inserted the same row meanwhile."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _apply_one(event_id, done)
        except IntegrityError:
            continue
    return _apply_one(event_id, done)


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


def _apply_one(row_id: int, done: Applied) -> None:
    """Claim and apply one event in one transaction, so that no other process applies it too."""
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
            effect = _effect(session, event, at, done)
        else:
            effect = _about_old_path(session, event, former.now, at)
        row.status, row.reason, row.image_id = effect
        done.count += 1


def _about_old_path(
    session: Session, event: Notification, new_path: str, at: datetime
) -> tuple[str, str, int | None]:
    """Apply an event about the old path of a moved image.

    A pull is counted for the new path, for tags with that digest. After a push or a deletion, the
    two paths are compared. Pushes to an old path are not allowed: one that succeeds because it
    began before the move does not change the new path.

    Returns:
        The event's new status, the reason, and the image's id if there is one.
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


def _effect(
    session: Session, event: Notification, at: datetime, done: Applied
) -> tuple[str, str, int | None]:
    """Change the index; return the event's new status, the reason, and the image's id."""
    own = event.actor == OWN_SUBJECT
    if event.action == "delete":
        return _delete(session, event, done)
    if own:
        return "dropped", "our own call to the registry", None
    if not event.is_manifest:
        return "dropped", "about a blob", None
    if event.action == "push":
        return _push(session, event, at, done)
    if event.action == "pull":
        if is_cache() and index_pulled(session, event, at):
            done.pushed.add((event.repository, event.digest))
        return apply_pull(session, event, at)
    return "dropped", "nothing to index", None


def _push(
    session: Session, event: Notification, at: datetime, done: Applied
) -> tuple[str, str, int | None]:
    if is_binned(event.tag):
        return "dropped", "a name of the bin", None
    project = owning_project(session, event.repository)
    if project is None:
        _note_unassigned(session, event, at)
        return "applied", UNASSIGNED, None
    image = ensure_image(session, project, event.repository)
    if image.last_push_at is None or image.last_push_at <= at:
        image.last_push_at, image.last_pushed_by = at, event.actor or None
    if event.tag and event.digest:
        _tag(session, image, event, at)
        tag_claims.expire_soon(session, event.repository, event.tag)
        record_push(session, image, event.tag, event.digest, event.actor, at)
        done.pushed.add((event.repository, event.digest))
    if image.reconciled_at is None:
        image.reconcile_wanted = True
        done.doubts = True
    return "applied", "", image.id


def _tag(session: Session, image: ContainerImage, event: Notification, at: datetime) -> None:
    insert_if_absent(
        session, Tag, image_id=image.id, name=event.tag, pull_count=0, seen_at=utc_now()
    )
    tag = session.scalars(select(Tag).where(Tag.image_id == image.id, Tag.name == event.tag)).one()
    violations.record_violations(session, image, tag, event.digest, event.actor, at)
    tag_history.record_tag_push(session, tag, event.digest, at, event.actor)
    if tag.pushed_at is None or tag.pushed_at <= at:
        tag.digest, tag.pushed_at, tag.pushed_by = event.digest, at, event.actor or None
        tag.seen_at = utc_now()
        tag.mark_readable()
    session.flush()
    count_tags(session, image)


def _note_unassigned(session: Session, event: Notification, at: datetime) -> None:
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


def _delete(session: Session, event: Notification, done: Applied) -> tuple[str, str, int | None]:
    image = session.scalar(select(ContainerImage).where(ContainerImage.path == event.repository))
    if image is None:
        return "dropped", "an image that the index does not have", None
    image.reconcile_wanted = True
    done.doubts = True
    return "applied", "the registry is asked what is left", image.id
