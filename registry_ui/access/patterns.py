"""Patterns of names and tags: globs, never regular expressions.

``*`` stands for any characters but a slash, ``**`` for any at all; everything else for
itself. A pattern covers a text as a whole. Matching takes one step a character, however
many stars there are: no pattern can be made that is slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..names import MAX_NAME

MAX_TAG = 128
#: What may stand in a pattern beside the stars: the characters of names, and of tags.
IMAGE_CHARACTERS = re.compile(r"[a-z0-9._/*-]*")
TAG_CHARACTERS = re.compile(r"[A-Za-z0-9._*-]+")
_PARTS = re.compile(r"\*+|[^*]")


class PatternInvalid(ValueError):
    """A pattern that can't be used. The message is meant for the person who typed it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A glob, ready to match.

    It runs as a machine whose states are the bits of one number: bit ``n`` is set where the
    first ``n`` parts of the pattern cover what was read so far.
    """

    text: str
    _steps: dict[str, int] = field(init=False, repr=False, compare=False)
    _stars: int = field(init=False, repr=False, compare=False)
    _deep: int = field(init=False, repr=False, compare=False)
    _end: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps: dict[str, int] = {}
        stars = deep = 0
        parts = _PARTS.findall(self.text)
        for number, part in enumerate(parts):
            bit = 1 << number
            if part[0] != "*":
                steps[part] = steps.get(part, 0) | bit
                continue
            stars |= bit
            if len(part) > 1:
                deep |= bit
        values = {"_steps": steps, "_stars": stars, "_deep": deep, "_end": 1 << len(parts)}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def covers(self, text: str) -> bool:
        """Whether the whole text is what the pattern stands for."""
        states = self._skipping_stars(1)
        for character in text:
            staying = states & (self._deep if character == "/" else self._stars)
            stepped = (states & self._steps.get(character, 0)) << 1
            states = self._skipping_stars(staying | stepped)
            if not states:
                return False
        return bool(states & self._end)

    def _skipping_stars(self, states: int) -> int:
        """Add the states behind stars, which may stand for nothing; no two are neighbours."""
        return states | (states & self._stars) << 1

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
