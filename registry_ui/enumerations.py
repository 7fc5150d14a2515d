"""Naming the first of many things in a message, and counting the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Maximum number of names in a message.
NAMED = 10


def name_some(names: Iterable[str]) -> str:
    """Return the first of some names in the order of bytes, and how many more there are."""
    return name_first(sorted(names))


def name_first(names: Sequence[str], count: int = NAMED) -> str:
    """Return the first of some names in their own order, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
