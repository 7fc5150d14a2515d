"""The entries of an activity page, what a reader filters them by, and where a page ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Self

#: What a page can be narrowed down to. At one moment the first of them comes first.
KINDS = ("push", "removal", "change", "pull")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: The largest number of a row that both databases can compare with.
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where an entry stands: its moment, its kind's place in KINDS, and its row."""

    at: datetime
    rank: int
    id: int

    @property
    def order(self) -> tuple[float, int, int]:
        """What sorts the newest first."""
        return -((self.at - _EPOCH) // _MICROSECOND), self.rank, -self.id

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}.{self.rank}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the mark that a URL holds; None for what is none."""
        parts = text.split(".")
        if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 18 for p in parts):
            return None
        moment, rank, row = (int(part) for part in parts)
        if rank >= len(KINDS):
            return None
        return cls(_EPOCH + moment * _MICROSECOND, rank, min(row, _MAX_ID))


@dataclass(frozen=True, slots=True)
class ActivityFilters:
    """What a reader looks for. ``image`` is a whole repository, or what it lies below."""

    kind: str = ""
    image: str = ""
    by: str = ""
    before: Cursor | None = None

    def __bool__(self) -> bool:
        return bool(self.kind or self.image or self.by)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. What its kind has nothing of is empty.

    ``project`` and ``name`` say which image, ``subject`` what a removal or a change was
    about; ``count`` is the pulls of the day, ``state`` how far a removal is. A pushed tag
    that was ``copied`` has its ``source`` as far as the reader sees that.
    """

    kind: str
    mark: Cursor
    actor: str = ""
    project: str = ""
    name: str = ""
    tag: str = ""
    digest: str = ""
    subject: str = ""
    words: str = ""
    detail: Any = None
    count: int = 0
    state: str = ""
    removal_id: int = 0
    copied: bool = False
    source: str = ""

    @property
    def at(self) -> datetime:
        """When it happened; of pulls, the day's first moment."""
        return self.mark.at

    @property
    def repository(self) -> str:
        """The whole name of the image."""
        return f"{self.project}/{self.name}" if self.name else self.project

    @property
    def reference(self) -> str:
        """The image, with the tag where there is one."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of entries, newest first; ``older`` is where the next one begins, if any.

    ``path_access`` are those images and tags among them that are still there.
    """

    entries: list[Entry]
    older: Cursor | None
    standing: set[str]

    @property
    def days(self) -> Iterator[tuple[date, list[Entry]]]:
        """The entries by their day, in UTC."""
        for day, found in groupby(self.entries, key=lambda entry: entry.at.date()):
            yield day, list(found)


@dataclass(frozen=True, slots=True)
class Day:
    """How much was pushed and pulled on a day."""

    day: date
    pushes: int
    pulls: int
