"""Read stored manifests again that an earlier version of the code read in another way.

The bodies are in the store, so the registry is not asked. Indexes come first: what earlier
versions took for platforms may be blobs.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, select, update

from ..distribution.client import FetchedManifest
from ..distribution.manifest import ManifestFacts, read_manifest
from ..extensions import db, release, writing
from ..models import IndexChild, Manifest, ManifestContents
from .contents import note_contents
from .facts import in_full
from .facts_store import FACTS_VERSION, Read, columns_of

#: Maximum number of manifests that are written in one transaction.
BATCH = 50
#: How long one run may take, in seconds; the next one continues.
DEADLINE = 20.0


def refresh() -> int:
    """Read stale facts again until none are left or the deadline is over; return how many."""
    end = time.monotonic() + DEADLINE
    done = 0
    while time.monotonic() < end and (digests := _stale()):
        columns: dict[str, dict[str, Any]] = {}
        facts: dict[str, ManifestFacts] = {}
        for digest in digests:
            read = _read_again(digest)
            if read is not None:
                columns[digest] = _changed(read)
                facts[digest] = read.facts
        _write(columns, facts)
        done += len(digests)
    release()
    return done


def _stale() -> list[str]:
    """Return the digests of some stale manifests; of indexes first."""
    # Equalities, so that the index on both columns finds them.
    query = select(Manifest.digest).where(Manifest.facts_version.in_(range(FACTS_VERSION)))
    indexes = list(db.session.scalars(query.where(Manifest.kind == "index").limit(BATCH)))
    return indexes or list(db.session.scalars(query.limit(BATCH)))


def _read_again(digest: str) -> Read | None:
    row = in_full(digest)
    if row is None:
        return None
    manifest = FetchedManifest(row.digest, row.media_type, row.body)
    config = row.config
    db.session.expunge(row)
    release()
    return Read(manifest, read_manifest(manifest.media_type, manifest.body), config)


def _changed(read: Read) -> dict[str, Any]:
    """Return the columns that are read from the documents, and not the documents."""
    kept = {"digest", "body", "config", "has_config", "fetched_at"}
    return {name: value for name, value in columns_of(read).items() if name not in kept}


def _write(columns: dict[str, dict[str, Any]], facts: dict[str, ManifestFacts]) -> None:
    with writing() as session:
        for digest, values in columns.items():
            session.execute(
                update(Manifest)
                .where(Manifest.digest == digest)
                .values(values)
                .execution_options(synchronize_session=False)
            )
        there = select(Manifest.digest).where(Manifest.digest.in_(facts))
        still = set(session.scalars(there))
        for column in (ManifestContents.digest, IndexChild.parent):
            session.execute(
                delete(column.class_)
                .where(column.in_(facts))
                .execution_options(synchronize_session=False)
            )
        note_contents(session, {digest: facts[digest] for digest in still})
