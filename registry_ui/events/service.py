"""From a posted notification to stored events. Applying them is apply.py's work.

Nothing here calls the registry: it waits for our answer, serially (PROTOCOLS 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ..admin import registry_token
from ..distribution.notifications import OVERSIZED, Notification
from ..errors import Unauthorized
from ..extensions import db, release, writing
from ..models import RefusedDelivery, RegistryEvent, utc_now
from ..storage import insert_new
from ..token_auth.signer import OWN_SUBJECT

#: Refusals are counted by address; beyond so many addresses they share one counter.
MAX_REFUSED_ADDRESSES = 1000
OTHER_ADDRESSES = "other addresses"


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
    valid, rotated, events = registry_token.recognises(db.session(), authorization), False, []
    release()
    if valid:
        events = read()
        with writing() as session:
            # It may have been revoked meanwhile.
            valid, rotated = registry_token.accept(session, authorization)
            for event in filter(is_worth_keeping, events) if valid else ():
                _store(session, event)
    if not valid:
        _count_refusal(address)
        raise Unauthorized(
            "The registry token is missing or wrong.",
            hint="Compare notifications.endpoints.headers in the registry's configuration "
            "with the registry token in the admin area.",
        )
    return Received(rotated, any(event.rejected == OVERSIZED for event in events))


def is_worth_keeping(event: Notification) -> bool:
    """Whether anything can be learnt of it.

    Not of our own reading, of looks (HEAD) and of pulled blobs: they count nothing, and
    are most of what a registry sends.
    """
    if event.action != "pull":
        return True
    if event.actor == OWN_SUBJECT:
        return False
    return event.rejected is not None or (event.method == "GET" and event.is_manifest)


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
