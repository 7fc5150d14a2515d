"""Convert the JSON documents of an image to readable text for a page."""

from __future__ import annotations

import json
from typing import Any

MAX_PRINTED = 256 * 1024
CUT = "\n… cut off here"
_ENCODER = json.JSONEncoder(indent=2, ensure_ascii=False)


def pretty_print(body: bytes) -> str:
    """Return a JSON document as indented text; text that is not JSON is not indented.

    A document with a duplicate key, or with numbers that Python does not preserve, such as floats,
    is not indented either, because its meaning would change. Invisible characters, such as
    bidirectional controls, are always escaped. Text longer than MAX_PRINTED characters is cut off.
    """
    text = body[:MAX_PRINTED].decode("utf-8", "replace")
    if len(body) <= MAX_PRINTED:
        text = _indent(text)
    text = "".join(c if c.isprintable() or c in "\n\r\t" else json.dumps(c)[1:-1] for c in text)
    is_whole = max(len(body), len(text)) <= MAX_PRINTED
    return text if is_whole else text[:MAX_PRINTED] + CUT


def _indent(text: str) -> str:
    """Return a JSON document indented, cut off soon after MAX_PRINTED characters.

    The document is encoded piece by piece, because indentation can make a small document thousands
    of times as long. Text that is not JSON, or can't be indented safely, is returned unchanged.
    """
    try:
        document = json.loads(
            text,
            object_pairs_hook=_require_distinct_keys,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
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


def _require_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return members


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text} is not kept as it is")
