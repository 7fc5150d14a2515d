"""What every page of a list needs: which page of how many, and the way back up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from ..web.templating import here

T = TypeVar("T")

PER_PAGE = 50


class NoSuchPage(Exception):
    """A list has fewer pages than the URL asks for."""

    def __init__(self, name: str, pages: int, total: int) -> None:
        super().__init__(f"there are only {pages} pages")
        self.name, self.pages, self.total = name, pages, total


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its number, the number of pages, and the number of rows in all."""

    number: int
    pages: int
    total: int
    size: int = PER_PAGE

    @classmethod
    def of(cls, number: int, total: int, size: int = PER_PAGE, *, name: str = "page") -> Page:
        """Return a page of a list.

        Args:
            name: the parameter of the URL that asks for it.

        Raises:
            NoSuchPage: the list ends before it.
        """
        pages = max(1, -(-total // size))
        if number > pages:
            raise NoSuchPage(name, pages, total)
        return cls(max(1, number), pages, total, size)

    @property
    def offset(self) -> int:
        """The number of rows before this page."""
        return (self.number - 1) * self.size

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        """Return the rows of this page, of all that there are."""
        return rows[self.offset : self.offset + self.size]


def init_app(app: Flask) -> None:
    """Send a visitor whose page is gone, because rows were deleted, to the last one."""
    app.register_error_handler(NoSuchPage, _go_to_last)


def _go_to_last(error: NoSuchPage) -> Response:
    return redirect(here(**{error.name: error.pages if error.pages > 1 else None}))


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
