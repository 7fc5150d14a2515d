"""The order in which people expect versions. Pure."""

from __future__ import annotations

import re

_PARTS = re.compile(r"(\d+)|([a-zA-Z]+)")
#: After these words a version is not yet itself: 2.0-rc1 comes before 2.0.
_EARLY = {"dev": 0, "snapshot": 1, "nightly": 1, "alpha": 2, "a": 2, "beta": 3, "b": 3}
_EARLY |= {"pre": 4, "preview": 4, "rc": 5}
_END = (1, 0, 0, "")


def version_key(tag: str) -> tuple[object, ...]:
    """Return a sort key: 1.9 before 1.10, 2.0-rc1 before 2.0, words before numbers.

    >>> sorted(["1.10", "1.9", "2.0", "2.0-rc1"], key=version_key)
    ['1.9', '1.10', '2.0-rc1', '2.0']
    """
    bare = tag[1:] if re.fullmatch(r"[vV]\d.*", tag) else tag
    parts: list[tuple[int, int, int, str]] = []
    for number, word in _PARTS.findall(bare):
        if number:
            parts.append((2, 0, int(number), ""))
        elif word.lower() in _EARLY and parts:
            parts.append((0, _EARLY[word.lower()], 0, ""))
        else:
            parts.append((1, 1, 0, word.lower()))
    is_version = bool(parts) and parts[0][0] == 2
    return (is_version, (*parts, _END), tag)
