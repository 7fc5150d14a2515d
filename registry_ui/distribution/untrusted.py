"""Values that strangers wrote, made such as every database and page can hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .errors import InvalidRegistryResponse

MAX_TEXT = 4096
TOO_MANY = "it has too many parts to show"
TOMORROW = timedelta(days=1)


class TooManyParts(InvalidRegistryResponse):
    """A body that is small, and takes long to read."""


def count_parts(body: bytes, limit: int) -> None:
    """Raise TooManyParts for JSON of more members and objects than ``limit``, before it is read."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limit:
        raise TooManyParts(TOO_MANY)


def plain_text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return text that every database can hold: no NUL, no lone surrogate, not endless."""
    if not isinstance(value, str):
        return ""
    return value[:limit].replace("\x00", "�").encode("utf-8", "replace").decode()


class TextBudget:
    """Room for the texts of one document: those that find too little of it are cut."""

    def __init__(self, size: int) -> None:
        self._left = size

    @property
    def is_full(self) -> bool:
        """Whether something may have been cut."""
        return self._left == 0

    def text(self, value: Any) -> str:
        """Return a value as plain_text() does, or as much of it as there is room for."""
        found = plain_text(value, min(MAX_TEXT, self._left))
        self._left -= len(found)
        return found


def moment(value: Any) -> datetime | None:
    """Return a date that can be true: reproducible builds set the epoch or before.

    Nothing was built later than tomorrow, where a clock may be; far dates are also more
    than every database and time zone can hold.
    """
    try:
        found = datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.year > 1980 and found < datetime.now(UTC) + TOMORROW else None


def written(value: datetime | None) -> str | None:
    """Return a date as moment() reads it."""
    return value.isoformat() if value else None


def member(value: Any, *names: str) -> Any:
    """Return what lies below these names in nested objects; None where anything is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
