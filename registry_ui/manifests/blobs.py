"""Compact storage for the digests and sizes of a manifest's blobs.

It is compact because pages read tens of thousands of blobs at once. A blob takes 40 bytes: a key of
32 bytes, and the size that the manifest states (docs/decisions/0005-packed-layers.md).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from ..db.prepared import insert_all_if_absent
from ..distribution.manifest import Descriptor, ManifestFacts
from ..distribution.media_types import is_foreign
from ..distribution.references import IndexEntries
from ..models import UNLISTED, IndexChild, ManifestContents

#: Maximum number of manifests of an OCI index that are stored for adding up their sizes.
MAX_COUNTED = 512
#: Maximum number of entries of an OCI index that are stored for finding the index by an entry.
MAX_ENTRIES = 2000

_BLOB = struct.Struct("<32sq")


def record_contents(
    session: Session,
    facts_by_digest: Mapping[str, ManifestFacts],
    entries_by_digest: Mapping[str, IndexEntries],
) -> None:
    """Store the blobs of manifests, and the entries of those that are OCI indexes.

    Args:
        session: the session of the transaction that also stores the manifests.
        facts_by_digest: parsed manifests by digest. A parsed index has only its first children.
        entries_by_digest: all entries of indexes, by the same digests.
    """
    rows = [
        {
            "digest": digest,
            "blobs": pack({key_of(blob.digest): blob.size for blob in stored_blobs(facts)}),
            "children": " ".join(_truncate(entries_by_digest[digest].manifests, MAX_COUNTED)),
        }
        for digest, facts in facts_by_digest.items()
    ]
    insert_all_if_absent(session, ManifestContents, rows)
    entries = [
        {"child": child, "parent": digest}
        for digest in facts_by_digest
        for child in _limit_entries(entries_by_digest[digest].entries)
    ]
    if entries:
        insert_all_if_absent(session, IndexChild, entries)


def _truncate(digests: Sequence[str], limit: int) -> Sequence[str]:
    return digests if len(digests) <= limit else [*digests[:limit], UNLISTED]


def _limit_entries(digests: Sequence[str]) -> Sequence[str]:
    """Return all entries of an OCI index, or only the marker UNLISTED if there are too many.

    A partial list is not stored, because a query could not distinguish it from a complete list.
    """
    return digests if len(digests) <= MAX_ENTRIES else [UNLISTED]


def stored_blobs(facts: ManifestFacts) -> list[Descriptor]:
    """Return the layers and the config of a manifest, without foreign layers.

    The list is empty for a schema 1 manifest, because it does not state the sizes of its layers.
    """
    if facts.kind == "schema 1":
        return []
    return [blob for blob in facts.blobs if not is_foreign(blob.media_type)]


def key_of(digest: str) -> bytes:
    """Return the 32-byte key under which the size of a blob is stored.

    The key is the binary value of a sha256 digest. For a digest of any other algorithm, the key is
    the sha256 hash of the digest's text.
    """
    algorithm, _, digits = digest.partition(":")
    if algorithm == "sha256":
        return bytes.fromhex(digits)
    return hashlib.sha256(digest.encode()).digest()


def pack(blobs: dict[bytes, int]) -> bytes:
    """Serialize the keys and sizes of blobs for storage.

    Args:
        blobs: sizes in bytes, by the result of key_of().
    """
    return b"".join(_BLOB.pack(key, size) for key, size in blobs.items())


def unpack(data: bytes) -> dict[bytes, int]:
    """Return the sizes of blobs in bytes, by their keys, from the result of pack()."""
    return dict(_BLOB.iter_unpack(data))
