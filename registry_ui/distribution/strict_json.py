"""JSON parser for manifests and image configurations that detects ambiguous documents.

The registry and its clients are written in Go, whose JSON parser ignores the case of keys and lets
a later key overwrite or extend an earlier key. A crafted document can therefore show one image on
our pages and give clients a different image. Only keys that Go programs interpret are checked:
image configurations from Docker have a key ``Size``, for example, which is unrelated to ``size``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .errors import InvalidRegistryResponse
from .untrusted import count_parts

#: Maximum number of JSON members and objects in a body, approximately, because 4 MiB of brackets
#: take seconds to parse. A manifest with ten thousand layers has fewer.
MAX_PARTS = 50_000
AMBIGUOUS = "its JSON means one thing to us and another to clients; nothing of it is shown"


def _fields_from_names(names: str) -> dict[str, str]:
    return {name.casefold(): name for name in names.split()}


_MANIFEST = _fields_from_names(
    "schemaVersion mediaType artifactType config layers manifests subject annotations"
)
_DESCRIPTOR = _fields_from_names(
    "mediaType artifactType digest size platform urls annotations data"
)
_PLATFORM = _fields_from_names("architecture os os.version os.features variant features")
_CONFIG = _fields_from_names(
    "architecture os os.version variant author created config rootfs history"
)
_RUNTIME = _fields_from_names(
    "User WorkingDir Entrypoint Cmd Env ExposedPorts Volumes Labels Shell"
)
_STEP = _fields_from_names("created created_by comment author empty_layer")


class RepeatedKeys(dict[str, Any]):
    """A JSON object with duplicate keys. It has the last value of each key.

    ``repeated`` are the keys that occur more than once.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs)
        self.repeated = {key for key, count in counts.items() if count > 1}


def parse_document(body: bytes) -> Any:
    """Parse an untrusted JSON body. Objects with duplicate keys become RepeatedKeys.

    Raises:
        TooManyParts: the body has so many members that parsing would take too long.
        InvalidRegistryResponse: the body is not JSON.
    """
    count_parts(body, MAX_PARTS)
    try:
        return json.loads(body, object_pairs_hook=_object_from_pairs)
    except (ValueError, RecursionError):
        raise InvalidRegistryResponse("the registry answered something that is not JSON") from None


def is_ambiguous_manifest(document: Mapping[str, Any]) -> bool:
    """Return whether clients could interpret this manifest differently than our parser."""
    descriptors = [
        *(document.get(key) for key in ("config", "subject")),
        *_as_list(document.get("layers")),
        *_as_list(document.get("manifests")),
    ]
    platforms = [part.get("platform") for part in descriptors if isinstance(part, dict)]
    return (
        _is_ambiguous(document, _MANIFEST)
        or any(_is_ambiguous(part, _DESCRIPTOR) for part in descriptors)
        or any(_is_ambiguous(part, _PLATFORM) for part in platforms)
    )


def is_ambiguous_config(document: Mapping[str, Any]) -> bool:
    """Return whether clients could interpret this image config differently than our parser."""
    return (
        _is_ambiguous(document, _CONFIG)
        or _is_ambiguous(document.get("config"), _RUNTIME)
        or any(_is_ambiguous(step, _STEP) for step in _as_list(document.get("history")))
    )


def _object_from_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedKeys(pairs)


def _is_ambiguous(part: Any, fields: Mapping[str, str]) -> bool:
    if not isinstance(part, dict):
        return False
    repeated_keys = part.repeated if isinstance(part, RepeatedKeys) else ()
    return any(
        (field := fields.get(key.casefold())) is not None and (field != key or key in repeated_keys)
        for key in part
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
