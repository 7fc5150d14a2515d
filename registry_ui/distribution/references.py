"""Everything that a manifest points to, whole: for bringing it to another repository."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..names import Digest, NameInvalid
from .errors import RegistryNonsense
from .manifest import MAX_PARTS
from .media_types import INDEX_TYPES, OLD_TYPES, lies_elsewhere
from .untrusted import count_parts
from .wire import json_object


@dataclass(frozen=True, slots=True)
class References:
    """The parts of a manifest, however many there are.

    ``children`` are the manifests of an index, ``blobs`` the config and the layers of
    anything else; ``elsewhere`` are those of them that the registry need not have.
    """

    children: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    elsewhere: frozenset[str] = field(default_factory=frozenset)


def references_of(media_type: str, body: bytes) -> References:
    """Return everything that a manifest points to.

    Raises:
        RegistryNonsense: it can't be read whole.
    """
    if media_type in OLD_TYPES:
        raise RegistryNonsense("it is of schema 1, which registries do not take any more")
    count_parts(body, MAX_PARTS)
    document = json_object(body)
    if media_type in INDEX_TYPES:
        return References(children=tuple(_every(_list(document.get("manifests")))))
    parts = _list(document.get("layers"))
    if document.get("config") is not None:
        parts = [document["config"], *parts]
    blobs = tuple(_every(parts))
    elsewhere = (part["digest"] for part in parts if lies_elsewhere(str(part.get("mediaType"))))
    return References(blobs=blobs, elsewhere=frozenset(elsewhere))


def digests_in(listed: Any) -> list[str]:
    """Return the usable digests of a list of descriptors; [] for what is no list."""
    items = listed if isinstance(listed, list) else []
    found = (_digest(item.get("digest")) for item in items if _is_object(item))
    return [digest for digest in found if digest]


def merged_index(body: bytes, other: bytes) -> bytes | None:
    """Return an index with what another one lists beside; None where it lists it all.

    Args:
        body: stays as it is, but for what is added to its list.

    Raises:
        RegistryNonsense: one of the two can't be read.
    """
    for text in (body, other):
        count_parts(text, MAX_PARTS)
    document, added = json_object(body), json_object(other)
    listed = _list(document.get("manifests"))
    there = set(digests_in(listed))
    more = [
        item
        for item in _list(added.get("manifests"))
        if _is_object(item) and (digest := _digest(item.get("digest"))) and digest not in there
    ]
    if not more:
        return None
    return json.dumps({**document, "manifests": [*listed, *more]}).encode()


def _every(parts: Iterable[Any]) -> dict[str, None]:
    """Return the digests of all parts, each once; raise RegistryNonsense if one has none."""
    found: dict[str, None] = {}
    for part in parts:
        digest = _digest(part.get("digest")) if _is_object(part) else ""
        if not digest:
            raise RegistryNonsense("a part of it has no usable digest")
        found[digest] = None
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _digest(value: Any) -> str:
    try:
        return str(Digest(value))
    except (NameInvalid, TypeError):
        return ""
