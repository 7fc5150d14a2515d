"""Patterns of tags and images: globs and RE2, always of the whole name, in linear time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import re2

from ..errors import Invalid
from ..globs import FLAT, compiled, expression_of

MAX_PATTERN = 200
KINDS = ("glob", "regex")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was checked. In a glob, ``*`` is anything and ``?`` one character."""

    kind: str
    text: str
    _compiled: Any = field(repr=False, compare=False)

    @classmethod
    def parse(cls, kind: str, text: str, name: str = "pattern") -> Self:
        """Check a pattern.

        Args:
            kind: ``glob`` or ``regex``, the latter as RE2 writes it.
            name: the field that a mistake is told of.

        Raises:
            Invalid: it can't be used.
        """
        if kind not in KINDS or len(text) > MAX_PATTERN:
            message = f"A pattern is a glob or RE2, of at most {MAX_PATTERN} characters."
            raise Invalid("The pattern can't be used.", {name: message})
        try:
            expression = compiled(expression_of(text, FLAT) if kind == "glob" else text)
        except (re2.error, UnicodeError):
            message = "This is no pattern of RE2; it knows neither look-ahead nor back-references."
            raise Invalid("The pattern can't be used.", {name: message}) from None
        return cls(kind, text, expression)

    def matches(self, name: str) -> bool:
        """Whether the whole name fits."""
        return self._compiled.fullmatch(name) is not None
