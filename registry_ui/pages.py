"""What every page of a list needs: which page of how many, and the way back up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import request

T = TypeVar("T")

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of how many."""

    number: int
    pages: int
    total: int

    @classmethod
    def of(cls, number: int, total: int, size: int = PER_PAGE) -> Page:
        """Return the page, within the pages that there are."""
        pages = max(1, -(-total // size))
        return cls(min(max(1, number), pages), pages, total)

    @property
    def offset(self) -> int:
        """How many rows come before it."""
        return (self.number - 1) * PER_PAGE

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        """Return the rows of this page, of all that there are."""
        return rows[self.offset : self.offset + PER_PAGE]


def crumbs(path: str) -> list[tuple[str, str]]:
    """Return a link for each segment of a path."""
    parts = path.split("/")
    return [(part, "/".join(parts[: depth + 1])) for depth, part in enumerate(parts)]


def page_number(name: str = "page") -> int:
    """Return the page that the URL asks for; 1 for anything that is none."""
    text = request.args.get(name, "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def search_text() -> str:
    """Return what the URL searches for, no longer than a name can be."""
    return request.args.get("q", "").strip()[:255]


def ordering(sorts: tuple[str, ...], first: str) -> tuple[str, str]:
    """Return by what the URL sorts, ``first`` for anything that is none, and which way."""
    sort = request.args.get("sort", first)
    return sort if sort in sorts else first, "desc" if request.args.get(
        "order"
    ) == "desc" else "asc"


def query_text(name: str) -> str:
    """Return a value of the query that the database can compare with."""
    value = request.args.get(name, "").strip()[:255]
    return "".join(character for character in value if character.isprintable())
