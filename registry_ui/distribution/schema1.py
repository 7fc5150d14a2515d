"""Docker schema 1, a legacy format that Distribution 2.8 still serves.

The digest covers the payload without its signatures. 2.8 stores the payload alone and signs
it again for every answer, so two answers differ and have the same digest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from .errors import InvalidRegistryResponse
from .media_types import SIGNED_SCHEMA_1
from .strict_json import parse_document

NO_PAYLOAD = "its signatures do not say what they sign"


def covered_bytes(media_type: str, body: bytes) -> bytes:
    """Return the bytes of a manifest that its digest covers.

    Raises:
        RegistryNonsense: it is signed, and its signatures do not agree on what they sign.
    """
    if media_type != SIGNED_SCHEMA_1:
        return body
    document = parse_document(body)
    signatures = document.get("signatures") if isinstance(document, dict) else None
    if not isinstance(signatures, list) or not signatures:
        raise InvalidRegistryResponse(NO_PAYLOAD)
    formats = {_format(signature) for signature in signatures}
    if len(formats) != 1:
        raise InvalidRegistryResponse(NO_PAYLOAD)
    length, tail = formats.pop()
    if not 0 < length <= len(body):
        raise InvalidRegistryResponse(NO_PAYLOAD)
    return body[:length] + tail


def layers_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of a payload as descriptors, the lowest first; sizes are not in it."""
    layers = [layer for layer in _list(document.get("fsLayers")) if isinstance(layer, dict)]
    return [{"digest": layer.get("blobSum"), "size": 0} for layer in reversed(layers)]


def built_at(document: Mapping[str, Any]) -> Any:
    """Return when the image says that it was built; None where it does not say."""
    newest = next(iter(_list(document.get("history"))), None)
    text = newest.get("v1Compatibility") if isinstance(newest, dict) else None
    try:
        config = parse_document(text.encode()) if isinstance(text, str) else None
    except (InvalidRegistryResponse, UnicodeEncodeError):
        return None
    return config.get("created") if isinstance(config, dict) else None


def _format(signature: Any) -> tuple[int, bytes]:
    """Return the length of the signed content, and what follows it, of a protected header."""
    try:
        text = signature["protected"]
        header = json.loads(_decoded(text))
        length, tail = header["formatLength"], _decoded(header["formatTail"])
    except (LookupError, TypeError, ValueError, RecursionError):
        raise InvalidRegistryResponse(NO_PAYLOAD) from None
    if not isinstance(length, int) or isinstance(length, bool):
        raise InvalidRegistryResponse(NO_PAYLOAD)
    return length, tail


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
