"""From a posted notification to stored events. Applying them is apply.py's work.

Nothing here calls the registry: it waits for our answer, serially (PROTOCOLS 3.3).
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

#: Refusals are counted by address; beyond so many addresses they share one counter.
MAX_REFUSED_ADDRESSES = 1000
OTHER_ADDRESSES = "other addresses"
#: How long pull events are kept once they are done with.
PULLS_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Received:
    """What a delivery means beyond its events.

    ``rotated``: it was the first to bring a new registry token. ``lost``: what it told
    could not be read, so the registry must be asked.
    """

    rotated: bool
    lost: bool


def receive(authorization: str, address: str, read: Callable[[], list[Notification]]) -> Received:
    """Store the events of one delivery; every event once, however often it comes.

    Args:
        read: reads and parses the body; called only for the registry itself, and before
            the transaction, which others wait for.

    Raises:
        Unauthorized: the registry token is missing or wrong; counted by address.
    """
    valid, rotated, events = registry_token.recognizes(db.session(), authorization), False, []
    checks: RecentChecks = current_app.extensions["recent_checks"]
    end_read()
    if valid:
        events = read()
        with writing() as session:
            # It may have been revoked meanwhile.
            valid, rotated = registry_token.accept(session, authorization)
            kept = [e for e in events if is_worth_keeping(e, checks)] if valid else []
            for event in kept:
                _store(session, event)
        checks.remember(filter(is_check, kept))
    if not valid:
        _count_refusal(address)
        raise Unauthorized(
            "The registry token is missing or wrong.",
            hint="Compare notifications.endpoints.headers in the registry's configuration "
            "with the registry token in the admin area.",
        )
    return Received(rotated, any(event.rejected == OVERSIZED for event in events))


def is_worth_keeping(event: Notification, checks: RecentChecks) -> bool:
    """Whether the event can change the index.

    Our own reads, pulls of blobs, and repeated HEAD requests of one manifest can't, and
    they are most of what a registry sends.
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
    """Whether the event is about a HEAD request for a manifest."""
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
        known = session.get(RefusedDelivery, address)
        if known is None:
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
    """Return the addresses that were refused most recently, and the count of all refusals."""
    query = select(RefusedDelivery).order_by(RefusedDelivery.last_at.desc()).limit(limit)
    total = db.session.scalar(select(func.sum(RefusedDelivery.count))) or 0
    return list(db.session.scalars(query)), int(total)


def forget_pulls(session: Session) -> None:
    """Forget pull events early: most events are pulls, and what they say is counted elsewhere.

    Never the newest event: SQLite would give its number to the next one, and a removal asks
    for events with higher numbers than the last it saw. Those of a worker that was off for
    days go with all other events.
    """
    now = utc_now()
    newest = select(func.max(RegistryEvent.id)).scalar_subquery()
    session.execute(
        delete(RegistryEvent)
        .where(
            RegistryEvent.received_at.between(now - 4 * PULLS_KEPT, now - PULLS_KEPT),
            RegistryEvent.action == "pull",
            RegistryEvent.status.in_(("applied", "dropped")),
            RegistryEvent.id < newest,
        )
        .execution_options(synchronize_session=False)
    )


def init_app(app: Flask) -> None:
    """Prepare the memory of recent HEAD requests."""
    app.extensions["recent_checks"] = RecentChecks()
