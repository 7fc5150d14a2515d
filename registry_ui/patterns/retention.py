"""Validation of patterns in forms, API requests, and commands."""

from __future__ import annotations

from ..errors import Invalid
from .glob import Grammar, Pattern, PatternInvalid, parse


def parse_pattern(kind: str, text: str, grammar: Grammar, field: str = "pattern") -> Pattern:
    """Validate a pattern from user input and return it parsed.

    Args:
        kind: ``glob`` or ``regex`` (RE2 syntax).
        grammar: the names that the pattern is for.
        field: the form field or JSON key to report an error for.

    Raises:
        Invalid: the pattern is not valid.
    """
    try:
        return parse(kind, text, grammar)
    except PatternInvalid as error:
        raise Invalid("The pattern can't be used.", {field: str(error)}) from None
