"""Find the digests of all content that a manifest references.

The limits that apply to the manifests shown on pages do not apply here, because copies and
deletions need every reference: a missing reference would break an image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidRegistryResponse
from .manifest import is_manifest_entry, read_digest
from .media_types import INDEX_TYPES, OLD_TYPES, is_foreign
from .schema1 import covered_bytes, layers_of
from .strict_json import MAX_PARTS, is_ambiguous_manifest, parse_document
from .untrusted import count_parts, json_object

_ANY_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class References:
    """The digests of all content that a manifest references.

    ``children`` are the manifests that an OCI index lists. ``blobs`` are the other entries of an
    index, or the config and layers of any other manifest. ``foreign`` are those of the ``blobs``
    that are foreign layers, which the registry does not need to have.
    """

    children: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    foreign: frozenset[str] = field(default_factory=frozenset)


def references_of(media_type: str, body: bytes) -> References:
    """Return the digests of all content that a manifest references.

    Raises:
        InvalidRegistryResponse: the manifest can't be parsed completely.
    """
    count_parts(body, MAX_PARTS)
    document = json_object(covered_bytes(media_type, body))
    children: tuple[str, ...] = ()
    if media_type in INDEX_TYPES:
        entries = _as_list(document.get("manifests"))
        children = tuple(_require_digests(filter(is_manifest_entry, entries)))
        parts = [entry for entry in entries if not is_manifest_entry(entry)]
    elif media_type in OLD_TYPES:
        parts = layers_of(document)
    else:
        parts = _as_list(document.get("layers"))
        if document.get("config") is not None:
            parts = [document["config"], *parts]
    blobs = tuple(_require_digests(parts))
    foreign = (part["digest"] for part in parts if is_foreign(str(part.get("mediaType"))))
    return References(children, blobs, frozenset(foreign))


@dataclass(frozen=True, slots=True)
class IndexEntries:
    """The digests of all entries of an OCI index; empty for any other manifest.

    ``manifests`` are the entries that are manifests according to their media types. ``entries``
    are all entries, because some clients choose an entry by its platform alone,
    regardless of its media type.
    """

    manifests: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


def index_entries_of(media_type: str, body: bytes) -> IndexEntries:
    """Return the digests that an OCI index lists. Invalid content does not raise an exception.

    If the JSON is invalid, or clients could interpret it differently, every digest in the body
    counts as an entry.
    """
    if media_type not in INDEX_TYPES:
        return IndexEntries()
    try:
        document = parse_document(body)
    except InvalidRegistryResponse:
        return IndexEntries(entries=tuple(every_digest(body)))
    if not isinstance(document, dict):
        return IndexEntries()
    if is_ambiguous_manifest(document):
        return IndexEntries(entries=tuple(every_digest(body)))
    entries = _as_list(document.get("manifests"))
    manifests = digests_in(list(filter(is_manifest_entry, entries)))
    return IndexEntries(tuple(dict.fromkeys(manifests)), tuple(dict.fromkeys(digests_in(entries))))


def every_child(body: bytes) -> list[str]:
    """Return the digests of those entries of an index whose media types are of manifests."""
    entries = _as_list(_parse_object(body).get("manifests"))
    return digests_in([entry for entry in entries if is_manifest_entry(entry)])


def every_blob(body: bytes) -> list[str]:
    """Return the digests of those entries of an OCI index that all clients treat as blobs.

    Entries without a media type are omitted, because they can be manifests. The list is empty
    if clients could interpret the JSON differently.
    """
    document = _parse_object(body)
    if is_ambiguous_manifest(document):
        return []
    return digests_in([entry for entry in _as_list(document.get("manifests")) if _is_blob(entry)])


def every_digest(body: bytes) -> list[str]:
    """Return every string in a body that looks like a digest, each once.

    The result includes every reference, no matter how a client interprets the JSON. It is used
    to decide which content must not be deleted.
    """
    text = body.decode("utf-8", "replace").replace("\\u003a", ":").replace("\\u003A", ":")
    return list(dict.fromkeys(_ANY_DIGEST.findall(text)))


def _parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object; return {} if the body is anything else."""
    try:
        document = parse_document(body)
    except InvalidRegistryResponse:
        return {}
    return document if isinstance(document, dict) else {}


def _is_blob(entry: Any) -> bool:
    media_type = entry.get("mediaType") if _is_object(entry) else None
    return isinstance(media_type, str) and bool(media_type) and not is_manifest_entry(entry)


def digests_in(descriptors: Any) -> list[str]:
    """Return the valid digests of a list of descriptors; [] if the value is not a list."""
    items = descriptors if isinstance(descriptors, list) else []
    digests = (read_digest(item.get("digest")) for item in items if _is_object(item))
    return [digest for digest in digests if digest]


def merged_index(body: bytes, other: bytes) -> bytes | None:
    """Extend an OCI index by those entries of a second index that it does not list yet.

    Args:
        body: the index to extend. Its own members and entries do not change.
        other: the index whose entries are appended.

    Returns:
        The extended index, or None if ``body`` already lists all entries of ``other``.

    Raises:
        InvalidRegistryResponse: one of the indexes can't be parsed.
    """
    for text in (body, other):
        count_parts(text, MAX_PARTS)
    document, other_document = json_object(body), json_object(other)
    entries = _as_list(document.get("manifests"))
    digests = set(digests_in(entries))
    new_entries = [
        item
        for item in _as_list(other_document.get("manifests"))
        if _is_object(item)
        and (digest := read_digest(item.get("digest")))
        and digest not in digests
    ]
    if not new_entries:
        return None
    return json.dumps({**document, "manifests": [*entries, *new_entries]}).encode()


def _require_digests(parts: Iterable[Any]) -> dict[str, None]:
    """Return the digests of all descriptors as the keys of a dictionary, in order.

    Raises:
        InvalidRegistryResponse: a descriptor has no valid digest.
    """
    digests: dict[str, None] = {}
    for part in parts:
        digest = read_digest(part.get("digest")) if _is_object(part) else ""
        if not digest:
            raise InvalidRegistryResponse("a part of it has no usable digest")
        digests[digest] = None
    return digests


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
