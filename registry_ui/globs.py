"""Globs as RE2: whatever somebody types, matching takes one step a character. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import re2

_TOKEN = re.compile(r"\*+|[^*]", re.DOTALL)
MAX_MEMORY = 1 << 20
#: Where nothing divides names into parts: any text, any one character.
FLAT = {"*": ".*", "?": "."}


def compiled(expression: str) -> Any:
    """Return an expression of RE2, whose ``fullmatch`` tests a text.

    Raises:
        re2.error, UnicodeError: it is none.
    """
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    return re2.compile(expression, options=options)


def expression_of(glob: str, signs: Mapping[str, str]) -> str:
    """Return what RE2 calls a glob.

    Args:
        signs: what ``*``, ``**`` and the like stand for; every other character is itself.
            Stars that follow each other are one sign: ``**`` if that is one, or else ``*``.
    """
    tokens = ("**" if len(t) > 1 and "**" in signs else t[0] for t in _TOKEN.findall(glob))
    return "(?s)" + "".join(signs.get(token) or re.escape(token) for token in tokens)
