"""Parser for the registry's notifications, whose content is only partly trusted.

Only the action, repository, tag, digest, media type, method, actor, and timestamp of an event are
used. Address, host, URL, and user agent are ignored, because any client can forge them
(PROTOCOLS 3.2).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..names import Digest, NameInvalid, RepositoryName, TagName
from .media_types import MANIFEST_TYPES

#: Maximum number of events in one envelope. A registry sends one event at a time (PROTOCOLS 3.1),
#: but the format allows more.
MAX_EVENTS = 1000
#: Maximum number of bytes of an unusable event that are kept for troubleshooting.
MAX_REJECTED = 8 * 1024
#: Exclusive bounds for the year of an event, because a conversion to a different time zone must not
#: lead to a year that databases do not support.
MIN_YEAR, MAX_YEAR = 1, 9999
OVERSIZED = "the body is larger than allowed"
ACTIONS = frozenset({"push", "pull", "mount", "delete"})


@dataclass(frozen=True, slots=True)
class Notification:
    """One event from the registry. An absent field is ``""``; 3.x sends it as an empty string.

    ``raw`` is the JSON to store. For a usable event it has the original structure, but contains
    only the fields below: clients can put a megabyte of text into other fields, such as the user
    agent. ``rejected`` is the reason why an authentic event can't be used, or None.
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
        """Whether the event is about a manifest, not a blob."""
        return self.media_type in MANIFEST_TYPES


def parse_envelope(body: bytes) -> list[Notification]:
    """Parse the body of a notification request into one or more events, even if it is invalid.

    A body that contains no events becomes one rejected event, so that no authentic request is lost.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return [_reject(body, "the body is not JSON")]
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list) or not events:
        return [_reject(body, "the body holds no events")]
    if len(events) > MAX_EVENTS:
        return [_reject(body, f"more than {MAX_EVENTS} events in one delivery")]
    return [parse_event(event) for event in events]


def parse_event(event: Any) -> Notification:
    """Parse one event of an envelope; if the event can't be used, ``rejected`` says why."""
    if not isinstance(event, dict):
        return _reject(_serialize(event), "an event is no object")
    target, actor = _get_object(event, "target"), _get_object(event, "actor")
    event_id = _get_text(event, "id")
    notification = Notification(
        event_id=event_id if 0 < len(event_id) <= 255 else _id_from_content(_serialize(event)),
        raw=b"",
        occurred_at=_parse_timestamp(_get_text(event, "timestamp")),
        action=_get_text(event, "action")[:50],
        repository=_get_text(target, "repository")[:512],
        tag=_get_text(target, "tag")[:255],
        digest=_get_text(target, "digest")[:255],
        media_type=_get_text(target, "mediaType")[:255],
        method=_get_text(_get_object(event, "request"), "method")[:10],
        actor=_get_text(actor, "name")[:255],
    )
    reason = _find_problem(notification)
    if reason is None:
        return replace(notification, raw=_serialize_trusted_fields(notification))
    return replace(notification, raw=_serialize(event)[:MAX_REJECTED], rejected=reason)


def _serialize(event: Any) -> bytes:
    try:
        return json.dumps(event, separators=(",", ":")).encode()
    except RecursionError:  # JSON that was parsed can still be too deep to serialize.
        return b"nested too deeply"


def _serialize_trusted_fields(event: Notification) -> bytes:
    """Return the trusted fields of an event as JSON that parse_event() can parse."""
    return _serialize(
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


def _find_problem(event: Notification) -> str | None:
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
    """Return a rejected event for an authentic request whose body exceeds the size limit.

    Args:
        length: size of the body in bytes, or None if unknown.
    """
    return _reject(f"{length or 'unknown'} bytes".encode(), OVERSIZED)


def _reject(raw: bytes, reason: str) -> Notification:
    return Notification(event_id=_id_from_content(raw), raw=raw[:MAX_REJECTED], rejected=reason)


def _id_from_content(raw: bytes) -> str:
    """Return a hash of an event's content as its ID, so that a repeated event has the same ID."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _get_object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _get_text(parent: dict[str, Any], key: str) -> str:
    # PostgreSQL can't store NUL, and a lone surrogate can't be encoded as UTF-8.
    value = parent.get(key)
    if not isinstance(value, str) or "\x00" in value:
        return ""
    return value.encode("utf-8", "replace").decode()


def _parse_timestamp(text: str) -> datetime | None:
    """Parse an RFC 3339 timestamp, with up to 9 fractional digits and any offset, into UTC.

    Return None if it is malformed, has no offset, or its year is out of range.
    """
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    if timestamp.tzinfo is None:
        return None
    try:
        timestamp = timestamp.astimezone(UTC)
    except OverflowError:
        return None
    return timestamp if MIN_YEAR < timestamp.year < MAX_YEAR else None
