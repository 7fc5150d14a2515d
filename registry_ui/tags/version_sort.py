"""Sort order for tags that are version numbers. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache

_PARTS = re.compile(r"(\d+)|([a-zA-Z]+)")
_WITH_V = re.compile(r"[vV]\d")
#: Words that mark a pre-release, with their sort order. 2.0-rc1 sorts before 2.0.
_PRE_RELEASES = {"dev": 0, "snapshot": 1, "nightly": 1, "alpha": 2, "a": 2, "beta": 3, "b": 3}
_PRE_RELEASES |= {"pre": 4, "preview": 4, "rc": 5}
# Prefixes for the parts of a sort key, in sort order. A word is terminated by NUL, which sorts
# before any letter, so that a word comes before longer words that begin with the same letters.
_PRE_RELEASE, _END, _WORD, _NUMBER = "0", "1", "2", "3"
#: Maximum number of cached sort keys, of about 200 bytes each: enough for several large images.
_MAX_CACHED = 32_768


@lru_cache(maxsize=_MAX_CACHED)
def version_key(tag: str) -> str:
    """Return a sort key for a tag: 1.9 before 1.10, 2.0-rc1 before 2.0, words before numbers.

    The key is a string, because comparing strings is fast enough for thousands of tags.

    >>> sorted(["1.10", "1.9", "2.0", "2.0-rc1"], key=version_key)
    ['1.9', '1.10', '2.0-rc1', '2.0']
    """
    parts: list[str] = []
    for digits, word in _PARTS.findall(tag[1:] if _WITH_V.match(tag) else tag):
        if digits:
            significant = digits.lstrip("0")
            parts.append(f"{_NUMBER}{len(significant):03}{significant}")
        elif parts and word.lower() in _PRE_RELEASES:
            parts.append(f"{_PRE_RELEASE}{_PRE_RELEASES[word.lower()]}")
        else:
            parts.append(f"{_WORD}{word.lower()}\0")
    is_version = bool(parts) and parts[0].startswith(_NUMBER)
    return f"{int(is_version)}{''.join(parts)}{_END}{tag}"
