"""Validation of patterns in forms, API requests, and commands."""

from __future__ import annotations

from ..errors import Invalid
from .glob import Grammar, Pattern, PatternInvalid, parse


def parse_pattern(kind: str, text: str, grammar: Grammar, field: str = "pattern") -> Pattern:
    """Validate a pattern from user input and return it parsed.

    Args:
        kind: ``glob`` or ``regex`` (RE2 syntax).
        grammar: grammar of the names to which the pattern applies.
        field: the form field or JSON key for which an error is reported.

    Raises:
        Invalid: the pattern is not valid.
    """
    try:
        return parse(kind, text, grammar)
    except PatternInvalid as error:
        raise Invalid("The pattern can't be used.", {field: str(error)}) from None
