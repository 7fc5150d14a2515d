"""Docker schema 1, a legacy manifest format that Distribution 2.8 still serves.

The digest covers the payload without its signatures. Distribution 2.8 stores only the payload and
signs it again for every response, so two responses differ although they have the same digest.
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
    """Return the part of a manifest that its digest covers: all, unless it is signed schema 1.

    Raises:
        InvalidRegistryResponse: the manifest is signed schema 1, and the signed payload can't be
            determined because signatures are missing, malformed, or inconsistent.
    """
    if media_type != SIGNED_SCHEMA_1:
        return body
    document = parse_document(body)
    signatures = document.get("signatures") if isinstance(document, dict) else None
    if not isinstance(signatures, list) or not signatures:
        raise InvalidRegistryResponse(NO_PAYLOAD)
    formats = {_parse_format(signature) for signature in signatures}
    if len(formats) != 1:
        raise InvalidRegistryResponse(NO_PAYLOAD)
    length, tail = formats.pop()
    if not 0 < length <= len(body):
        raise InvalidRegistryResponse(NO_PAYLOAD)
    return body[:length] + tail


def layers_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of a schema 1 manifest as descriptors, base layer first.

    Their sizes are 0, because schema 1 does not state sizes.
    """
    layers = [layer for layer in _as_list(document.get("fsLayers")) if isinstance(layer, dict)]
    return [{"digest": layer.get("blobSum"), "size": 0} for layer in reversed(layers)]


def built_at(document: Mapping[str, Any]) -> Any:
    """Return the build time in a schema 1 manifest, as an untrusted JSON value, or None."""
    newest = next(iter(_as_list(document.get("history"))), None)
    text = newest.get("v1Compatibility") if isinstance(newest, dict) else None
    try:
        config = parse_document(text.encode()) if isinstance(text, str) else None
    except (InvalidRegistryResponse, UnicodeEncodeError):
        return None
    return config.get("created") if isinstance(config, dict) else None


def _parse_format(signature: Any) -> tuple[int, bytes]:
    """Parse the protected header of a signature of a schema 1 manifest.

    Returns:
        The number of bytes of the body that are signed, and the bytes to append to them.

    Raises:
        InvalidRegistryResponse: the header is malformed.
    """
    try:
        text = signature["protected"]
        header = json.loads(_decode(text))
        length, tail = header["formatLength"], _decode(header["formatTail"])
    except (LookupError, TypeError, ValueError, RecursionError):
        raise InvalidRegistryResponse(NO_PAYLOAD) from None
    if not isinstance(length, int) or isinstance(length, bool):
        raise InvalidRegistryResponse(NO_PAYLOAD)
    return length, tail


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
