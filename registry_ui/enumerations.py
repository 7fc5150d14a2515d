"""Lists of names in messages: the first names, and the number of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Maximum number of names in a message.
MAX_NAMES = 10


def name_some(names: Iterable[str]) -> str:
    """Return the first names in byte order, separated by commas, and the number of the others."""
    return name_first(sorted(names))


def name_first(names: Sequence[str], count: int = MAX_NAMES) -> str:
    """Return the first ``count`` names, separated by commas, and the number of the others."""
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest
