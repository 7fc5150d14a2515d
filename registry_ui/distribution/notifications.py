"""The envelope of the registry's notifications, read without trust.

Only action, repository, tag, digest, actor and timestamp are believed; address,
host, URL and user agent can be set by any client (PROTOCOLS 3.2).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..names import Digest, NameInvalid, RepositoryName, TagName
from .media_types import MANIFEST_TYPES

#: A registry sends one event at a time (PROTOCOLS 3.1); the envelope allows more.
MAX_EVENTS = 1000
#: Of what can't be used so much is kept, for whoever looks for the reason.
MAX_REJECTED = 8 * 1024
#: At the ends of time, another zone is a year that databases do not have.
MIN_YEAR, MAX_YEAR = 1, 9999
OVERSIZED = "the body is larger than allowed"
ACTIONS = frozenset({"push", "pull", "mount", "delete"})


@dataclass(frozen=True, slots=True)
class Notification:
    """One event. Empty and absent fields are the same: ``""`` (3.x sends them empty).

    ``raw`` is what is kept: of a usable event the fields below and nothing else, in the
    shape in which it came. A client can fill a user agent with a megabyte of text.
    ``rejected`` says why an authentic event can't be used; it is None for usable ones.
    """

    event_id: str
    raw: bytes
    occurred_at: datetime | None = None
    action: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    media_type: str = ""
    method: str = ""
    actor: str = ""
    rejected: str | None = None

    @property
    def is_manifest(self) -> bool:
        """Whether it speaks of a manifest, and not of a blob."""
        return self.media_type in MANIFEST_TYPES


def parse_envelope(body: bytes) -> list[Notification]:
    """Return the events of a posted body, one or more. Never raises.

    A body that holds none becomes one rejected event, so that nothing authentic is lost.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return [_rejected(body, "the body is not JSON")]
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list) or not events:
        return [_rejected(body, "the body holds no events")]
    if len(events) > MAX_EVENTS:
        return [_rejected(body, f"more than {MAX_EVENTS} events in one delivery")]
    return [parse_event(event) for event in events]


def parse_event(event: Any) -> Notification:
    """Return one event of an envelope, marked rejected where it can't be used."""
    if not isinstance(event, dict):
        return _rejected(_dumped(event), "an event is no object")
    target, actor = _object(event, "target"), _object(event, "actor")
    event_id = _text(event, "id")
    found = Notification(
        event_id=event_id if 0 < len(event_id) <= 255 else _made_up_id(_dumped(event)),
        raw=b"",
        occurred_at=_timestamp(_text(event, "timestamp")),
        action=_text(event, "action")[:50],
        repository=_text(target, "repository")[:512],
        tag=_text(target, "tag")[:255],
        digest=_text(target, "digest")[:255],
        media_type=_text(target, "mediaType")[:255],
        method=_text(_object(event, "request"), "method")[:10],
        actor=_text(actor, "name")[:255],
    )
    reason = _unusable(found)
    if reason is None:
        return replace(found, raw=_believed(found))
    return replace(found, raw=_dumped(event)[:MAX_REJECTED], rejected=reason)


def _dumped(event: Any) -> bytes:
    try:
        return json.dumps(event, separators=(",", ":")).encode()
    except RecursionError:  # what could just be read need not bear being written
        return b"nested too deeply"


def _believed(event: Notification) -> bytes:
    """Return what is believed of an event, as parse_event() reads it again."""
    return _dumped(
        {
            "id": event.event_id,
            "timestamp": event.occurred_at.isoformat() if event.occurred_at else "",
            "action": event.action,
            "target": {
                "mediaType": event.media_type,
                "repository": event.repository,
                "tag": event.tag,
                "digest": event.digest,
            },
            "request": {"method": event.method},
            "actor": {"name": event.actor},
        }
    )


def _unusable(event: Notification) -> str | None:
    if event.action not in ACTIONS:
        return "an action that we do not know"
    if event.occurred_at is None:
        return "no usable timestamp"
    try:
        RepositoryName(event.repository)
        if event.tag:
            TagName(event.tag)
        if event.digest:
            Digest(event.digest)
    except NameInvalid as error:
        return f"a name breaks its grammar: {error}"
    return None


def oversized(length: int | None) -> Notification:
    """Return what is kept of an authentic body that is larger than allowed."""
    return _rejected(f"{length or 'unknown'} bytes".encode(), OVERSIZED)


def _rejected(raw: bytes, reason: str) -> Notification:
    return Notification(event_id=_made_up_id(raw), raw=raw[:MAX_REJECTED], rejected=reason)


def _made_up_id(raw: bytes) -> str:
    """Name an event that came without an id by its content: a repeat is still a repeat."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _text(parent: dict[str, Any], key: str) -> str:
    # A NUL can't be stored by PostgreSQL, and a lone surrogate not encoded.
    value = parent.get(key)
    if not isinstance(value, str) or "\x00" in value:
        return ""
    return value.encode("utf-8", "replace").decode()


def _timestamp(text: str) -> datetime | None:
    """Parse RFC 3339 with 0 to 9 digits of fraction and any offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        return None
    return moment if MIN_YEAR < moment.year < MAX_YEAR else None
