"""Shorten long lists of names for messages: the first few names, and the number of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Maximum number of names in a message.
MAX_NAMES = 10


def name_some(names: Iterable[str]) -> str:
    """Sort names and return the first few, separated by commas, and the number of the rest."""
    return name_first(sorted(names))


def name_first(names: Sequence[str], count: int = MAX_NAMES) -> str:
    """Return the first ``count`` names, separated by commas, and the number of the rest."""
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest
