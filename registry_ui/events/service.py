"""Receive webhook deliveries (requests with notifications of the registry) and store their events.

The module ``apply`` applies the events later. Nothing here calls the registry, because the registry
sends one delivery at a time and waits for the response (PROTOCOLS 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from flask import Flask, current_app
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ..audit import OWN_SUBJECT
from ..db.prepared import insert_if_absent
from ..db.session import db, end_read, writing
from ..distribution.notifications import OVERSIZED, Notification
from ..errors import Unauthorized
from ..models import RefusedDelivery, RegistryEvent, utc_now
from . import registry_token
from .recent_checks import RecentChecks

#: Maximum number of sender addresses that have their own counter of refused deliveries. All other
#: addresses share one counter.
MAX_REFUSED_ADDRESSES = 1000
OTHER_ADDRESSES = "other addresses"
#: How long processed pull events are kept after their arrival.
PULL_LIFETIME = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The properties of a webhook delivery after which the database must be reconciled.

    Attributes:
        rotated: whether this is the first delivery with a new registry token, which shows that the
            registry was restarted and may have lost events.
        is_oversized: whether the body was too large to be read, so that its events are unknown.
    """

    rotated: bool
    is_oversized: bool


def receive(
    authorization: str, address: str, read: Callable[[], list[Notification]]
) -> DeliveryResult:
    """Store the events of one webhook delivery. A repeated event is stored only once.

    Args:
        authorization: the Authorization header with the registry token.
        address: IP address of the sender, for counting refused deliveries.
        read: function that reads and parses the body. It is called only if the token is valid,
            and before the write transaction, so that no other writer waits for a slow sender.

    Raises:
        Unauthorized: the registry token is missing or wrong.
    """
    is_valid, rotated, events = registry_token.recognizes(db.session(), authorization), False, []
    checks: RecentChecks = current_app.extensions["recent_checks"]
    end_read()
    if is_valid:
        events = read()
        with writing() as session:
            # The token may have been revoked while the body was read.
            is_valid, rotated = registry_token.accept(session, authorization)
            stored = [e for e in events if is_worth_keeping(e, checks)] if is_valid else []
            for event in stored:
                _store(session, event)
        checks.remember(filter(is_check, stored))
    if not is_valid:
        _count_refusal(address)
        raise Unauthorized(
            "The registry token is missing or wrong.",
            hint="Compare notifications.endpoints.headers in the registry's configuration "
            "with the registry token in the admin area.",
        )
    return DeliveryResult(rotated, any(event.rejected == OVERSIZED for event in events))


def is_worth_keeping(event: Notification, checks: RecentChecks) -> bool:
    """Return whether an event must be stored.

    Most events of a registry change nothing in the database, and are not stored: reads by this
    application, blob pulls, and repeated HEAD requests for a manifest. All other events are stored.

    Args:
        event: the event.
        checks: the HEAD requests that were stored recently, to recognize repeated ones.
    """
    if event.action != "pull":
        return True
    if event.actor == OWN_SUBJECT:
        return False
    if event.rejected is not None:
        return True
    return event.is_manifest and (
        event.method == "GET" or (is_check(event) and not checks.has(event))
    )


def is_check(event: Notification) -> bool:
    """Return whether an event reports a HEAD request for a manifest."""
    return event.action == "pull" and event.method == "HEAD" and event.is_manifest


def _store(session: Session, event: Notification) -> None:
    insert_if_absent(
        session,
        RegistryEvent,
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        action=event.action,
        repository=event.repository,
        tag=event.tag,
        digest=event.digest,
        actor=event.actor,
        raw=event.raw,
        status="rejected" if event.rejected else "pending",
        reason=event.rejected or "",
        received_at=utc_now(),
    )


def _count_refusal(address: str) -> None:
    with writing() as session:
        row = session.get(RefusedDelivery, address)
        if row is None:
            count = session.scalar(select(func.count()).select_from(RefusedDelivery)) or 0
            if count >= MAX_REFUSED_ADDRESSES:
                address = OTHER_ADDRESSES
        now = utc_now()
        insert_if_absent(
            session, RefusedDelivery, address=address, count=0, first_at=now, last_at=now
        )
        session.execute(
            update(RefusedDelivery)
            .where(RefusedDelivery.address == address)
            .values(count=RefusedDelivery.count + 1, last_at=now)
        )


def refusals(limit: int = 20) -> tuple[list[RefusedDelivery], int]:
    """Return the senders refused most recently, and the total number of refused deliveries."""
    query = select(RefusedDelivery).order_by(RefusedDelivery.last_at.desc()).limit(limit)
    total = db.session.scalar(select(func.sum(RefusedDelivery.count))) or 0
    return list(db.session.scalars(query)), int(total)


def forget_pulls(session: Session) -> None:
    """Delete processed pull events after PULL_LIFETIME, which is sooner than other events.

    Most events are pulls, and their counts are stored with images and tags. The newest event is
    always kept: SQLite would reuse its id, and a removal looks for events with higher ids than the
    last event it saw. Events older than four times PULL_LIFETIME, which remain if the worker was
    stopped for a while, are left to the job that deletes all old events.
    """
    now = utc_now()
    newest = select(func.max(RegistryEvent.id)).scalar_subquery()
    session.execute(
        delete(RegistryEvent)
        .where(
            RegistryEvent.received_at.between(now - 4 * PULL_LIFETIME, now - PULL_LIFETIME),
            RegistryEvent.action == "pull",
            RegistryEvent.status.in_(("applied", "dropped")),
            RegistryEvent.id < newest,
        )
        .execution_options(synchronize_session=False)
    )


def init_app(app: Flask) -> None:
    """Create this process's memory of recent HEAD requests."""
    app.extensions["recent_checks"] = RecentChecks()
