"""Documents of an image as people read them; the bytes themselves are there to download."""

from __future__ import annotations

import json
from typing import Any

MAX_PRINTED = 256 * 1024
CUT = "\n… cut off here"
_ENCODER = json.JSONEncoder(indent=2, ensure_ascii=False)


def pretty_print(body: bytes) -> str:
    """Return a JSON document with a line for each member, or what it is if it is none.

    A document that would look like another one is shown as it is stored: with a key that
    stands twice, or with numbers that JSON does not keep. In every one, what can't be seen,
    such as a mark that turns the direction of writing, is written as its number.
    """
    text = body[:MAX_PRINTED].decode("utf-8", "replace")
    if len(body) <= MAX_PRINTED:
        text = _indented(text)
    text = "".join(c if c.isprintable() or c in "\n\r\t" else json.dumps(c)[1:-1] for c in text)
    is_whole = max(len(body), len(text)) <= MAX_PRINTED
    return text if is_whole else text[:MAX_PRINTED] + CUT


def _indented(text: str) -> str:
    """Return a document with a line for each member, a little more of it than is printed.

    Indented, a small one can be thousands of times as long: it is written piece by piece.
    """
    try:
        document = json.loads(
            text, object_pairs_hook=_distinct, parse_float=_refused, parse_constant=_refused
        )
        pieces, length = [], 0
        for piece in _ENCODER.iterencode(document):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_PRINTED:
                break
    except (ValueError, RecursionError):
        return text
    return "".join(pieces)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is not kept as it is")
