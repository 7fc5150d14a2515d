"""Splitting of long sequences into batches, so that one query or transaction stays small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def split_into_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items, in their order, in lists of at most ``size`` items.

    Raises:
        ValueError: the size is not a positive number.
    """
    if size < 1:
        raise ValueError(f"a batch can't have {size} items")
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
