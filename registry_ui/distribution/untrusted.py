"""Sanitizers that make untrusted values safe for every database and page."""

from __future__ import annotations

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
        TooManyParts: there are more than ``limit``.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limit:
        raise TooManyParts(TOO_MANY)


def plain_text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return text that every database can store; "" if the value is not a string.

    NUL and lone surrogates are replaced, and the text is truncated to ``limit`` characters.
    """
    if not isinstance(value, str):
        return ""
    return value[:limit].replace("\x00", "�").encode("utf-8", "replace").decode()


class TextBudget:
    """A limit on the total length of the texts of one document; texts beyond it are truncated."""

    def __init__(self, size: int) -> None:
        self._left = size

    @property
    def is_full(self) -> bool:
        """Whether the limit was reached, so that texts can be truncated."""
        return self._left == 0

    def text(self, value: Any) -> str:
        """Return a value as plain_text() does, truncated to the remaining length."""
        found = plain_text(value, min(MAX_TEXT, self._left))
        self._left -= len(found)
        return found


def moment(value: Any) -> datetime | None:
    """Parse an ISO 8601 timestamp into UTC; return None if it is invalid or implausible.

    Dates up to 1980 are implausible because reproducible builds use the epoch or similar dates.
    Dates more than a day ahead are, too: a builder's clock can be ahead by a little, and far dates
    are out of range for some databases and time zones.
    """
    try:
        found = datetime.fromisoformat(value)
        # A timestamp without a time zone is invalid in RFC 3339, and most builders mean UTC.
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.year > 1980 and found < datetime.now(UTC) + TOMORROW else None


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
