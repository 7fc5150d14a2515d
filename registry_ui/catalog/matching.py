"""What people type to find names: a part of one, or a pattern for all of one. Pure."""

from __future__ import annotations

from collections.abc import Callable

from ..globs import FLAT, compiled, expression_of


def matcher(text: str) -> Callable[[str], bool]:
    """Return a test of names. Capital and small letters are the same to it.

    ``*`` stands for any text and ``?`` for one character, and then the whole name must
    match: ``v1.*`` is all of v1. Without them the text may stand anywhere in the name. No
    other character means anything, and no pattern is slow.
    """
    wanted = text.lower()
    if "*" not in wanted and "?" not in wanted:
        return lambda name: wanted in name.lower()
    pattern = compiled(expression_of(wanted, FLAT))
    return lambda name: pattern.fullmatch(name.lower()) is not None
