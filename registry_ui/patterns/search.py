"""Filters of lists: parts of names, or patterns for whole names. Pure."""

from __future__ import annotations

from collections.abc import Callable

from .glob import Glob, has_wildcard, split


def matcher(text: str) -> Callable[[str], bool]:
    """Return a test of names for what was typed into a filter.

    With ``*`` or ``?`` it is a glob, as everywhere: the whole name must match, and case
    matters. Without them it is a part of the name, in any case. Several are separated by
    commas, and one is enough.
    """
    items = split(text)
    if not items:
        return lambda _name: True
    tests = [_glob(item) if has_wildcard(item) else _part(item) for item in items]
    return tests[0] if len(tests) == 1 else lambda name: any(test(name) for test in tests)


def _glob(item: str) -> Callable[[str], bool]:
    return Glob(item).matches


def _part(item: str) -> Callable[[str], bool]:
    wanted = item.lower()
    return lambda name: wanted in name.lower()
