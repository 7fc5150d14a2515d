"""Entries of an activity page, the filters for them, and the cursor for paging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Self

#: Kinds of entries. Entries with the same time are sorted in this order.
KINDS = ("push", "removal", "change", "pull")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Largest row ID that PostgreSQL and SQLite can compare with an integer column.
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position of an entry in a list of activity, used to request the entries after it.

    ``at`` is the time of the entry, ``rank`` the index of its kind in KINDS, and ``id`` the ID of
    its database row.
    """

    at: datetime
    rank: int
    id: int

    @property
    def order(self) -> tuple[float, int, int]:
        """Sort key that puts the newest entry first."""
        return -((self.at - _EPOCH) // _MICROSECOND), self.rank, -self.id

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}.{self.rank}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the cursor from its text in a URL, or None if the text is not valid."""
        parts = text.split(".")
        if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 18 for p in parts):
            return None
        microseconds, rank, row_id = (int(part) for part in parts)
        if rank >= len(KINDS):
            return None
        return cls(_EPOCH + microseconds * _MICROSECOND, rank, min(row_id, _MAX_ID))


@dataclass(frozen=True, slots=True)
class ActivityFilters:
    """Filters of an activity page.

    ``kind`` is one of KINDS, ``image`` a repository name or a path above it, ``by`` the name of a
    user, and ``before`` the cursor of the last entry on the previous page. An empty field does not
    filter.
    """

    kind: str = ""
    image: str = ""
    by: str = ""
    before: Cursor | None = None

    def __bool__(self) -> bool:
        return bool(self.kind or self.image or self.by)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry on an activity page. Fields that do not apply to its kind are empty.

    ``project`` and ``name`` identify the image; ``subject`` is the object of a removal or a
    change; ``count`` is the number of pulls on that day; ``state`` is the state of the removal.
    ``copied`` is True if the tag was copied, not pushed by a client; then ``source`` is the
    reference it was copied from, or "" if the user who views the page can't see the source.
    """

    kind: str
    cursor: Cursor
    actor: str = ""
    project: str = ""
    name: str = ""
    tag: str = ""
    digest: str = ""
    subject: str = ""
    description: str = ""
    detail: Any = None
    count: int = 0
    state: str = ""
    removal_id: int = 0
    copied: bool = False
    source: str = ""

    @property
    def at(self) -> datetime:
        """The time of the event; for pulls, the start of the day."""
        return self.cursor.at

    @property
    def repository(self) -> str:
        """The full repository name of the image."""
        return f"{self.project}/{self.name}" if self.name else self.project

    @property
    def reference(self) -> str:
        """The repository name of the image, with the tag if there is one."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of entries, newest first.

    ``older`` is the cursor of the last entry; None if there are no older entries. ``existing``
    contains the references of those images and tags in the entries that still exist.
    """

    entries: list[Entry]
    older: Cursor | None
    existing: set[str]

    @property
    def days(self) -> Iterator[tuple[date, list[Entry]]]:
        """The entries grouped by day (UTC)."""
        for day, entries in groupby(self.entries, key=lambda entry: entry.at.date()):
            yield day, list(entries)


@dataclass(frozen=True, slots=True)
class Day:
    """The numbers of pushes and pulls on one day."""

    day: date
    pushes: int
    pulls: int
