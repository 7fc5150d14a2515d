"""Parser for the tag list of a repository, whose content is untrusted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..names import TAG
from .errors import InvalidRegistryResponse
from .untrusted import json_object

#: Maximum number and length of invalid tag names that are kept for an error message.
MAX_UNUSABLE, MAX_UNUSABLE_LENGTH = 100, 128
#: Maximum size in bytes of a tag list whose parsed form is cached: about ten thousand tags.
MAX_CACHED_LIST = 512 * 1024

_TAG = re.compile(TAG)
_TAG_LIST = re.compile(rf"{TAG}(?:\n{TAG})*")


class TagNames(list[str]):
    """A list of tags in byte order.

    ``unusable`` holds the first few names that the registry listed and that are not valid tags.
    """

    unusable: tuple[str, ...] = ()


def parse_tag_list(bodies: Iterable[bytes]) -> TagNames:
    """Return the tags on all pages of a tag list.

    Args:
        bodies: response bodies, one for each page.

    Raises:
        InvalidRegistryResponse: a body is not a tag list.
    """
    pages = [
        _parse_page(body) if len(body) > MAX_CACHED_LIST else _parse_page_cached(body)
        for body in bodies
    ]
    names = TagNames(
        pages[0].tags if len(pages) == 1 else sorted({tag for page in pages for tag in page.tags})
    )
    names.unusable = tuple(sorted({name for page in pages for name in page.unusable}))
    return names


@dataclass(frozen=True, slots=True)
class _TagPage:
    """One page of a tag list: the sorted valid tags, and the first few names that are invalid."""

    tags: tuple[str, ...]
    unusable: tuple[str, ...] = ()


def _parse_page(body: bytes) -> _TagPage:
    """Parse the response body of a tag list request.

    Raises:
        InvalidRegistryResponse: the body is not a tag list.
    """
    page = json_object(body)
    # The value of "tags" is null if all tags were deleted, but the key is always present.
    if "tags" not in page:
        raise InvalidRegistryResponse("the registry answered JSON of another shape")
    names = page["tags"] or []
    if not isinstance(names, list):
        raise InvalidRegistryResponse("the list of tags is no list")
    if _are_tags(names):
        return _TagPage(tuple(sorted(set(names))))
    unusable = [name for name in names if isinstance(name, str) and not _TAG.fullmatch(name)]
    examples = (name[:MAX_UNUSABLE_LENGTH] for name in unusable[:MAX_UNUSABLE])
    return _TagPage(tuple(sorted(set(filter(_is_tag, names)))), tuple(examples))


#: Cached version of _parse_page(), because parsing thousands of tags takes milliseconds and most
#: lists have not changed since the previous request.
_parse_page_cached = lru_cache(maxsize=16)(_parse_page)


def _are_tags(names: list[Any]) -> bool:
    """Return whether all names are valid tags, ten times as fast as by checking each name."""
    try:
        text = "\n".join(names)
    except TypeError:
        return False
    return text.count("\n") == len(names) - 1 and _TAG_LIST.fullmatch(text) is not None


def _is_tag(name: Any) -> bool:
    return isinstance(name, str) and _TAG.fullmatch(name) is not None
