"""Pagination: a list divided into pages of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
PER_PAGE = 50


class NoSuchPage(Exception):
    """The URL requests a page beyond the end of a list.

    Attributes:
        name: URL parameter that holds the page number.
        pages: number of pages of the list.
        total: number of rows in the list.
    """

    def __init__(self, name: str, pages: int, total: int) -> None:
        super().__init__(f"there are only {pages} pages")
        self.name, self.pages, self.total = name, pages, total


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, without the rows.

    Attributes:
        number: page number, starting at 1.
        pages: number of pages of the list.
        total: number of rows in the list.
        size: maximum number of rows on a page.
    """

    number: int
    pages: int
    total: int
    size: int = PER_PAGE

    @classmethod
    def of(cls, number: int, total: int, size: int = PER_PAGE, *, name: str = "page") -> Page:
        """Return the page with a given number.

        Args:
            number: page number, starting at 1; a lower number gives the first page.
            total: number of rows in the list.
            size: maximum number of rows on a page.
            name: URL parameter that holds the page number.

        Raises:
            NoSuchPage: the list has fewer pages.
        """
        pages = max(1, -(-total // size))
        if number > pages:
            raise NoSuchPage(name, pages, total)
        return cls(max(1, number), pages, total, size)

    @property
    def offset(self) -> int:
        """The number of rows of the list before this page."""
        return (self.number - 1) * self.size

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        """Return the rows of this page, given all rows of the list."""
        return rows[self.offset : self.offset + self.size]
