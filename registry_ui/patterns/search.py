"""Name filters for lists: by substring or by glob. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from .glob import Glob, has_wildcard, split


def matcher(text: str) -> Callable[[str], bool]:
    """Return a function that returns whether a name matches a filter entered by a user.

    The filter is a comma-separated list; a name must match one of its parts. A part with ``*``
    or ``?`` is a glob: it must match the whole name, and case matters. Any other part must
    be contained in the name, ignoring case. An empty filter matches all names.
    """
    items = split(text)
    if not items:
        return lambda _name: True
    tests = [
        _make_glob_test(item) if has_wildcard(item) else _make_substring_test(item)
        for item in items
    ]
    return tests[0] if len(tests) == 1 else lambda name: any(test(name) for test in tests)


def _make_glob_test(item: str) -> Callable[[str], bool]:
    return Glob(item).matches


def _make_substring_test(item: str) -> Callable[[str], bool]:
    substring = item.lower()
    return lambda name: substring in name.lower()
