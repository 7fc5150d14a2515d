"""From a posted notification to stored events. Applying them is apply.py's work.

Nothing here calls the registry: it waits for our answer, serially (PROTOCOLS 3.3).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ..admin import registry_token
from ..distribution.notifications import Notification
from ..errors import Unauthorized
from ..extensions import db, writing
from ..models import RefusedDelivery, RegistryEvent, utc_now
from ..storage import insert_new
from ..token_auth.signer import OWN_SUBJECT

#: Refusals are counted by address; beyond so many addresses they share one counter.
MAX_REFUSED_ADDRESSES = 1000
OTHER_ADDRESSES = "other addresses"


def receive(authorization: str, address: str, read: Callable[[], list[Notification]]) -> bool:
    """Store the events of one delivery; every event once, however often it comes.

    Args:
        read: reads and parses the body; called only for the registry itself.

    Returns:
        Whether it was the first to bring a new registry token.

    Raises:
        Unauthorized: the registry token is missing or wrong; counted by address.
    """
    with writing() as session:
        valid, rotated = registry_token.accept(session, authorization)
        if valid:
            for event in read():
                if not is_own_look(event):
                    _store(session, event)
    if not valid:
        _count_refusal(address)
        raise Unauthorized(
            "The registry token is missing or wrong.",
            hint="Compare notifications.endpoints.headers in the registry's configuration "
            "with the registry token in the admin area.",
        )
    return rotated


def is_own_look(event: Notification) -> bool:
    """Whether it tells of our own reading: hundreds of rows for a page, and nothing to learn."""
    return event.action == "pull" and event.actor == OWN_SUBJECT


def _store(session: Session, event: Notification) -> None:
    insert_new(
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
        insert_new(session, RefusedDelivery, address=address, count=0, first_at=now, last_at=now)
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
