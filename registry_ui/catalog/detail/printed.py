"""Documents of an image as people read them; the bytes themselves are there to download."""

from __future__ import annotations

import json
from typing import Any

MAX_PRINTED = 256 * 1024
CUT = "\n… cut off here"


def printed(body: bytes) -> str:
    """Return a JSON document with a line for each member, or what it is if it is none.

    A document that would look like another one is shown as it is stored: with a key that
    stands twice, or with numbers that JSON does not keep. What can't be seen, such as a
    mark that turns the direction of writing, is written as its number.
    """
    text = body[:MAX_PRINTED].decode("utf-8", "replace")
    if len(body) > MAX_PRINTED:
        return text + CUT
    try:
        document = json.loads(
            text, object_pairs_hook=_distinct, parse_float=_refused, parse_constant=_refused
        )
        text = json.dumps(document, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    return text if len(text) <= MAX_PRINTED else text[:MAX_PRINTED] + CUT


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is not kept as it is")
