"""What manifests consist of, at any depth: from the store, and from the registry where it lacks.

A manifest is immutable by its digest, so what was read once need not be asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select

from ..distribution.manifest import every_child, every_digest
from ..distribution.media_types import INDEX_TYPES
from ..extensions import db
from ..models import Manifest
from ..names import RepositoryName
from .facts import facts_of, fetch, held

#: So many digests in one query.
CHUNK = 500
#: More manifests than this are not asked for at once, and ten more for each that was begun with.
MAX_ASKED = 2000


@dataclass(slots=True)
class Parts:
    """The parts of some manifests.

    ``children`` as we read an index, ``named`` whatever it may name. ``unknown`` could not be
    read: of those, and of what they may hold, nothing can be promised. ``blobs`` are the
    config and layers of those that this repository was seen to hold, with their sizes.
    """

    children: dict[str, list[str]] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    blobs: dict[str, dict[str, int]] = field(default_factory=dict)


def parts_of(repository: RepositoryName, tops: Iterable[str], deadline: float) -> Parts:
    """Return the parts of these manifests of a repository.

    Args:
        deadline: seconds for all of it; what was not read by then is unknown.
    """
    end = time.monotonic() + deadline
    parts = Parts()
    level = list(dict.fromkeys(tops))
    own, asked = set(level), 0
    most = MAX_ASKED + 10 * len(level)
    seen = set(level)
    while level:
        missing = set(level) - _read(repository, level, own, parts)
        asked += len(missing)
        if asked > most:
            parts.unknown |= missing
        elif missing:
            parts.unknown |= fetch(repository, missing, end - time.monotonic())
            _read(repository, missing, own, parts)
        below = {part for digest in level for part in parts.named.get(digest, ())}
        level = sorted(below - seen)
        seen |= below
    return parts


def _read(
    repository: RepositoryName, digests: Iterable[str], own: set[str], parts: Parts
) -> set[str]:
    """Add what the store has of these manifests; return which those are."""
    found = set()
    for chunk in _chunks(digests):
        rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(chunk))).all()
        here = own.intersection(chunk) | held(str(repository), chunk)
        for row in rows:
            found.add(row.digest)
            if row.digest in here:
                blobs = facts_of(row).blobs
                parts.blobs[row.digest] = {blob.digest: max(blob.size, 0) for blob in blobs}
        indexes = [row.digest for row in rows if row.media_type in INDEX_TYPES]
        query = select(Manifest.digest, Manifest.body).where(Manifest.digest.in_(indexes))
        for digest, body in db.session.execute(query):
            parts.children[digest] = every_child(body)
            parts.named[digest] = every_digest(body)
    return found


def _chunks(digests: Iterable[str]) -> Iterator[list[str]]:
    every = list(digests)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]
