"""Parser for the registry's notifications, whose content is only partly trusted.

Only action, repository, tag, digest, media type, method, actor and timestamp are used. Address,
host, URL and user agent are ignored, because any client can forge them (PROTOCOLS 3.2).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..names import Digest, NameInvalid, RepositoryName, TagName
from .media_types import MANIFEST_TYPES

#: Maximum number of events in one envelope. A registry sends one at a time (PROTOCOLS 3.1), but
#: the format allows more.
MAX_EVENTS = 1000
#: Maximum number of bytes that are kept of an unusable event, for troubleshooting.
MAX_REJECTED = 8 * 1024
#: Exclusive bounds for the year of an event, because a conversion to another time zone must not
#: lead to a year that databases do not support.
MIN_YEAR, MAX_YEAR = 1, 9999
OVERSIZED = "the body is larger than allowed"
ACTIONS = frozenset({"push", "pull", "mount", "delete"})


@dataclass(frozen=True, slots=True)
class Notification:
    """One event from the registry. Absent fields are ``""``, because 3.x sends them empty.

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
    """Parse the body of a notification request into one or more events; never raises.

    A body without usable events becomes one rejected event, so that no authentic request is lost.
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
    """Parse one event of an envelope; set its ``rejected`` if it can't be used."""
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
    except RecursionError:  # JSON that was parsed can still be too deep to serialize.
        return b"nested too deeply"


def _believed(event: Notification) -> bytes:
    """Return the trusted fields of an event as JSON that parse_event() can parse."""
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
    """Return a rejected event for an authentic request whose body exceeds the size limit.

    Args:
        length: size of the body in bytes, or None if unknown.
    """
    return _rejected(f"{length or 'unknown'} bytes".encode(), OVERSIZED)


def _rejected(raw: bytes, reason: str) -> Notification:
    return Notification(event_id=_made_up_id(raw), raw=raw[:MAX_REJECTED], rejected=reason)


def _made_up_id(raw: bytes) -> str:
    """Return an id for an event without one: a hash of its content, so that repeats match."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _text(parent: dict[str, Any], key: str) -> str:
    # PostgreSQL can't store NUL, and a lone surrogate can't be encoded as UTF-8.
    value = parent.get(key)
    if not isinstance(value, str) or "\x00" in value:
        return ""
    return value.encode("utf-8", "replace").decode()


def _timestamp(text: str) -> datetime | None:
    """Parse an RFC 3339 timestamp, with up to 9 fractional digits and any offset, into UTC.

    Return None if it is malformed, has no offset, or its year is out of range.
    """
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
