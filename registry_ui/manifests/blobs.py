"""The blobs that manifests make the registry keep, packed: tens of thousands are read at once.

Forty bytes a blob: a key of 32, and the size as the manifest says it (decision 5).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from ..db.prepared import insert_all_if_absent
from ..distribution.manifest import Descriptor, ManifestFacts
from ..distribution.media_types import lies_elsewhere
from ..distribution.references import Listed
from ..models import UNLISTED, IndexChild, ManifestContents

#: Maximum number of manifests of an index whose sizes are added up.
MAX_COUNTED = 512
#: Maximum number of entries of an index that are kept to find it by.
MAX_ENTRIES = 2000

_BLOB = struct.Struct("<32sq")


def note_contents(
    session: Session, found: Mapping[str, ManifestFacts], listed: Mapping[str, Listed]
) -> None:
    """Keep what manifests consist of, by digest, in the transaction that keeps their facts.

    Args:
        found: facts, which name only some of the manifests of an index.
        listed: what the same manifests list, in full.
    """
    rows = [
        {
            "digest": digest,
            "blobs": pack({key_of(blob.digest): blob.size for blob in stored_blobs(facts)}),
            "children": " ".join(_first(listed[digest].manifests, MAX_COUNTED)),
        }
        for digest, facts in found.items()
    ]
    insert_all_if_absent(session, ManifestContents, rows)
    entries = [
        {"child": child, "parent": digest}
        for digest in found
        for child in _findable(listed[digest].entries)
    ]
    if entries:
        insert_all_if_absent(session, IndexChild, entries)


def _first(digests: Sequence[str], limit: int) -> Sequence[str]:
    return digests if len(digests) <= limit else [*digests[:limit], UNLISTED]


def _findable(digests: Sequence[str]) -> Sequence[str]:
    """Return all entries or none: a reader must not take a part of them for the whole."""
    return digests if len(digests) <= MAX_ENTRIES else [UNLISTED]


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
