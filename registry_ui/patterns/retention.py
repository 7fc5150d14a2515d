"""Patterns as forms, programs and commands send them."""

from __future__ import annotations

from ..errors import Invalid
from .glob import Grammar, Pattern, PatternInvalid, parse


def parse_pattern(kind: str, text: str, grammar: Grammar, field: str = "pattern") -> Pattern:
    """Check a pattern.

    Args:
        kind: ``glob`` or ``regex``, the latter as RE2 writes it.
        field: the field of the form or the key of the body that holds it.

    Raises:
        Invalid: it can't be used.
    """
    try:
        return parse(kind, text, grammar)
    except PatternInvalid as error:
        raise Invalid("The pattern can't be used.", {field: str(error)}) from None
