"""Parser for untrusted JSON, and sanitizers that make its values safe for databases and pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from .errors import InvalidRegistryResponse

MAX_TEXT = 4096
TOO_MANY = "it has too many parts to show"
TOMORROW = timedelta(days=1)


class TooManyParts(InvalidRegistryResponse):
    """The JSON has too many members and objects, so parsing it would take too long."""


def count_parts(body: bytes, limit: int) -> None:
    """Estimate the number of members and objects in JSON before it is parsed.

    Raises:
        TooManyParts: there are more members and objects than ``limit``.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limit:
        raise TooManyParts(TOO_MANY)


def parse_json(body: bytes) -> Any:
    """Parse untrusted JSON.

    Raises:
        InvalidRegistryResponse: the body is not JSON, is nested too deeply, or contains a number
            that is too large.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRegistryResponse("the registry answered something that is not JSON") from None


def json_object(body: bytes) -> dict[str, Any]:
    """Parse untrusted JSON that must be an object.

    Raises:
        InvalidRegistryResponse: the body is not JSON, or not an object.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise InvalidRegistryResponse("the registry answered JSON of another shape")
    return value


def plain_text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return text that every database can store; "" if the value is not a string.

    NUL and lone surrogates are replaced, and the text is truncated to ``limit`` characters.
    """
    if not isinstance(value, str):
        return ""
    return value[:limit].replace("\x00", "�").encode("utf-8", "replace").decode()


class TextBudget:
    """A limit on the total length of all texts in one document; texts beyond it are truncated."""

    def __init__(self, size: int) -> None:
        self._remaining = size

    @property
    def is_full(self) -> bool:
        """Whether the limit was reached, so that texts may have been truncated."""
        return self._remaining == 0

    def text(self, value: Any) -> str:
        """Return a value as plain_text() does, truncated to the remaining length of the budget."""
        text = plain_text(value, min(MAX_TEXT, self._remaining))
        self._remaining -= len(text)
        return text


def moment(value: Any) -> datetime | None:
    """Parse an ISO 8601 timestamp into UTC; return None if it is invalid or implausible.

    Dates up to 1980 are implausible because reproducible builds use the epoch or similar dates.
    Dates more than a day in the future are also implausible. The clock of a builder can be slightly
    ahead, but far dates are out of range for some databases and time zones.
    """
    try:
        date = datetime.fromisoformat(value)
        # A timestamp without a time zone is invalid in RFC 3339, and most builders mean UTC.
        date = (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.year > 1980 and date < datetime.now(UTC) + TOMORROW else None


def written(value: datetime | None) -> str | None:
    """Return a date as an ISO 8601 string, which moment() can parse; None for None."""
    return value.isoformat() if value else None


def member(value: Any, *names: str) -> Any:
    """Return a member of nested JSON objects, or None if any level is missing.

    Args:
        value: the outermost object; any other value has no members.
        names: one key for each level.
    """
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
