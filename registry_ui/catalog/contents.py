"""The blobs that manifests make the registry keep, packed: tens of thousands are read at once.

Forty bytes a blob: a key of 32, and the size as the manifest says it (decision 5).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from sqlalchemy.orm import Session

from ..distribution.manifest import Descriptor, ManifestFacts
from ..distribution.media_types import lies_elsewhere
from ..models import IndexChild, ManifestContents
from ..storage import insert_all_new

_BLOB = struct.Struct("<32sq")


def note_contents(session: Session, found: Mapping[str, ManifestFacts]) -> None:
    """Keep what manifests consist of, by digest, in the transaction that keeps their facts."""
    rows = [
        {
            "digest": digest,
            "blobs": pack({key_of(blob.digest): blob.size for blob in stored_blobs(facts)}),
            "children": " ".join(dict.fromkeys(child.digest for child in facts.children)),
        }
        for digest, facts in found.items()
    ]
    insert_all_new(session, ManifestContents, rows)
    listed = [
        {"child": child, "parent": digest}
        for digest, facts in found.items()
        for child in dict.fromkeys(child.digest for child in facts.children)
    ]
    if listed:
        insert_all_new(session, IndexChild, listed)


def stored_blobs(facts: ManifestFacts) -> list[Descriptor]:
    """Return the layers and the config, without what lies elsewhere.

    Layers of schema 1 have no sizes, so nothing can be counted.
    """
    if facts.kind == "schema 1":
        return []
    return [blob for blob in facts.blobs if not lies_elsewhere(blob.media_type)]


def key_of(digest: str) -> bytes:
    """Return the 32 bytes that stand for a digest; of a sha512, those of its sha256."""
    algorithm, _, digits = digest.partition(":")
    if algorithm == "sha256":
        return bytes.fromhex(digits)
    return hashlib.sha256(digest.encode()).digest()


def pack(blobs: dict[bytes, int]) -> bytes:
    """Return blobs as they are stored; a blob that stands twice takes room once."""
    return b"".join(_BLOB.pack(key, size) for key, size in blobs.items())


def unpack(packed: bytes) -> dict[bytes, int]:
    """Return the sizes of stored blobs by their keys."""
    return dict(_BLOB.iter_unpack(packed))
