"""Everything that a manifest points to, whole: for bringing it to another repository."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidRegistryResponse
from .manifest import is_manifest_entry, read_digest
from .media_types import INDEX_TYPES, OLD_TYPES, lies_elsewhere
from .schema1 import covered_bytes, layers_of
from .strict_json import MAX_PARTS, is_ambiguous_manifest, parse_document
from .transport import json_object
from .untrusted import count_parts

_ANY_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class References:
    """The parts of a manifest, however many there are.

    ``children`` are the manifests of an index, ``blobs`` its other entries, or the config and
    the layers of anything else; ``elsewhere`` are the blobs that the registry need not have.
    """

    children: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    elsewhere: frozenset[str] = field(default_factory=frozenset)


def references_of(media_type: str, body: bytes) -> References:
    """Return everything that a manifest points to.

    Raises:
        RegistryNonsense: it can't be read whole.
    """
    count_parts(body, MAX_PARTS)
    document = json_object(covered_bytes(media_type, body))
    children: tuple[str, ...] = ()
    if media_type in INDEX_TYPES:
        entries = _list(document.get("manifests"))
        children = tuple(_every(filter(is_manifest_entry, entries)))
        parts = [entry for entry in entries if not is_manifest_entry(entry)]
    elif media_type in OLD_TYPES:
        parts = layers_of(document)
    else:
        parts = _list(document.get("layers"))
        if document.get("config") is not None:
            parts = [document["config"], *parts]
    blobs = tuple(_every(parts))
    elsewhere = (part["digest"] for part in parts if lies_elsewhere(str(part.get("mediaType"))))
    return References(children, blobs, frozenset(elsewhere))


@dataclass(frozen=True, slots=True)
class Listed:
    """What an index lists, however many entries it has; nothing for any other manifest.

    ``manifests`` are manifests by their media types. ``entries`` are all digests that a client
    may pull by: some clients choose an entry by its platform alone, whatever its type.
    """

    manifests: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


def listed_in(media_type: str, body: bytes) -> Listed:
    """Return what an index lists. Never raises for what the body holds.

    If clients may read its JSON in another way, every digest in it counts as an entry.
    """
    if media_type not in INDEX_TYPES:
        return Listed()
    try:
        document = parse_document(body)
    except InvalidRegistryResponse:
        return Listed(entries=tuple(every_digest(body)))
    if not isinstance(document, dict):
        return Listed()
    if is_ambiguous_manifest(document):
        return Listed(entries=tuple(every_digest(body)))
    entries = _list(document.get("manifests"))
    manifests = digests_in(list(filter(is_manifest_entry, entries)))
    return Listed(tuple(dict.fromkeys(manifests)), tuple(dict.fromkeys(digests_in(entries))))


def every_child(body: bytes) -> list[str]:
    """Return the manifests that an index lists, by their media types, however many."""
    entries = _list(_document(body).get("manifests"))
    return digests_in([entry for entry in entries if is_manifest_entry(entry)])


def every_blob(body: bytes) -> list[str]:
    """Return the blobs that an index lists, as every client reads it, however many.

    An entry without a media type is not among them: it may be a manifest.
    """
    document = _document(body)
    if is_ambiguous_manifest(document):
        return []
    return digests_in([entry for entry in _list(document.get("manifests")) if _is_blob(entry)])


def every_digest(body: bytes) -> list[str]:
    """Return whatever in a body looks like a digest: for keeping what it may need.

    However its JSON is read, by us or by a client, nothing that it names is left out.
    """
    text = body.decode("utf-8", "replace").replace("\\u003a", ":").replace("\\u003A", ":")
    return list(dict.fromkeys(_ANY_DIGEST.findall(text)))


def _document(body: bytes) -> dict[str, Any]:
    """Return the object that a body is; an empty one for anything else."""
    try:
        document = parse_document(body)
    except InvalidRegistryResponse:
        return {}
    return document if isinstance(document, dict) else {}


def _is_blob(entry: Any) -> bool:
    media_type = entry.get("mediaType") if _is_object(entry) else None
    return isinstance(media_type, str) and bool(media_type) and not is_manifest_entry(entry)


def digests_in(listed: Any) -> list[str]:
    """Return the usable digests of a list of descriptors; [] for what is no list."""
    items = listed if isinstance(listed, list) else []
    found = (read_digest(item.get("digest")) for item in items if _is_object(item))
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
        if _is_object(item) and (digest := read_digest(item.get("digest"))) and digest not in there
    ]
    if not more:
        return None
    return json.dumps({**document, "manifests": [*listed, *more]}).encode()


def _every(parts: Iterable[Any]) -> dict[str, None]:
    """Return the digests of all parts, each once; raise RegistryNonsense if one has none."""
    found: dict[str, None] = {}
    for part in parts:
        digest = read_digest(part.get("digest")) if _is_object(part) else ""
        if not digest:
            raise InvalidRegistryResponse("a part of it has no usable digest")
        found[digest] = None
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
