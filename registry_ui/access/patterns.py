"""Patterns of names and tags: globs, never regular expressions.

``*`` stands for any characters but a slash, ``**`` for any at all; everything else for
itself. A pattern covers a text as a whole, and none can be made that is slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ..globs import compiled, expression_of
from ..names import MAX_NAME

MAX_TAG = 128
#: What may stand in a pattern beside the stars: the characters of names, and of tags.
IMAGE_CHARACTERS = re.compile(r"[a-z0-9._/*-]*")
TAG_CHARACTERS = re.compile(r"[A-Za-z0-9._*-]+")
SIGNS = {"*": "[^/]*", "**": ".*"}


class PatternInvalid(ValueError):
    """A pattern that can't be used. The message is meant for the person who typed it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A glob, ready to match."""

    text: str
    _compiled: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", compiled(expression_of(self.text, SIGNS)))

    def covers(self, text: str) -> bool:
        """Whether the whole text is what the pattern stands for."""
        return self._compiled.fullmatch(text) is not None

    def __str__(self) -> str:
        return self.text


def image_pattern(text: str) -> Pattern:
    """Return the pattern of names below a project; the empty one is for its root image.

    Raises:
        PatternInvalid: it is too long, or holds what no name can.
    """
    if len(text) > MAX_NAME:
        raise PatternInvalid(f"A pattern has at most {MAX_NAME} characters.")
    if not IMAGE_CHARACTERS.fullmatch(text) or text.startswith("/") or text.endswith("/"):
        raise PatternInvalid(
            "Use what names are made of, such as web or team/api, with * for any part of a "
            "segment and ** for any number of segments."
        )
    return Pattern(text)


def tag_pattern(text: str) -> Pattern:
    """Return the pattern of tags.

    Raises:
        PatternInvalid: it is empty or too long, or holds what no tag can.
    """
    if len(text) > MAX_TAG:
        raise PatternInvalid(f"A pattern has at most {MAX_TAG} characters.")
    if not TAG_CHARACTERS.fullmatch(text):
        raise PatternInvalid(
            "Use what tags are made of, such as latest or v1.2, with * for any characters."
        )
    return Pattern(text)
