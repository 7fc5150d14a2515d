"""What manifests consist of, at any depth: from the store, and from the registry where it lacks.

A manifest is immutable by its digest, so what was read once need not be asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select

from ..db.session import db
from ..distribution.errors import ContentTooLarge, RegistryError
from ..distribution.manifest import MAX_LAYERS
from ..distribution.media_types import INDEX_TYPES
from ..distribution.references import every_blob, every_child, every_digest
from ..models import Manifest
from ..names import RepositoryName
from .store import blob_call, call_all, digests_in_repository, facts_of, fetch

#: So many digests in one query.
CHUNK = 500
#: More manifests than this are not asked for at once, and ten more for each that was begun with.
MAX_ASKED = 2000


@dataclass(slots=True)
class ManifestGraph:
    """The parts of some manifests.

    ``children`` are the manifests of an index, by their media types, without those that are
    missing; ``named`` is whatever a manifest may need: of an index every digest in it, of
    others their blobs. ``unknown`` could
    not be read: of those, and of what they may hold, nothing can be promised. ``blobs`` are
    the blobs of those that this repository was seen to hold, with their sizes.
    """

    children: dict[str, list[str]] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    blobs: dict[str, dict[str, int]] = field(default_factory=dict)


def graph_of(
    repository: RepositoryName,
    tops: Iterable[str],
    deadline: float,
    hold: Callable[[], None] = lambda: None,
) -> ManifestGraph:
    """Return the parts of these manifests of a repository.

    Args:
        deadline: seconds for all of it; what was not read by then is unknown.
        hold: called before every few calls to the registry; what it raises ends the work.
    """
    end = time.monotonic() + deadline
    parts = ManifestGraph()
    level = list(dict.fromkeys(tops))
    own, asked = set(level), 0
    most = MAX_ASKED + 10 * len(level)
    seen, manifests = set(level), set[str]()
    while level:
        found, below = _read(repository, level, own, parts)
        missing = set(level) - found
        asked += len(missing)
        if asked > most:
            parts.unknown |= missing
        elif missing:
            fetched = fetch(repository, missing, end - time.monotonic(), hold)
            more, named = _read(repository, fetched.manifests, own, parts)
            found |= more
            below |= named | _read_as_blobs(repository, fetched.unread, parts, end)
        manifests |= found
        level = sorted(below - seen)
        seen |= below
    for digest, children in parts.children.items():
        parts.children[digest] = [child for child in children if child in manifests]
    return parts


def _read(
    repository: RepositoryName, digests: Iterable[str], own: set[str], parts: ManifestGraph
) -> tuple[set[str], set[str]]:
    """Add what the store has of these manifests.

    Returns which those are, and what below them may be manifests as well.
    """
    found: set[str] = set()
    below: set[str] = set()
    for chunk in _chunks(digests):
        rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(chunk))).all()
        here = own.intersection(chunk) | digests_in_repository(str(repository), chunk)
        in_full = []
        for row in rows:
            found.add(row.digest)
            blobs = facts_of(row).blobs
            parts.named[row.digest] = [blob.digest for blob in blobs]
            if row.digest in here and row.kind != "schema 1":  # that has no sizes
                parts.blobs[row.digest] = {blob.digest: max(blob.size, 0) for blob in blobs}
            if row.media_type in INDEX_TYPES or row.kind == "unknown" or len(blobs) >= MAX_LAYERS:
                in_full.append(row.digest)
        below |= _read_in_full(in_full, parts)
    return found, below


def _read_in_full(digests: list[str], parts: ManifestGraph) -> set[str]:
    """Add what indexes, and manifests whose facts are cut, name in their bodies.

    Returns what of that may be a manifest. An entry that is a blob by its media type is none,
    and the registry answers 500 if asked for it as a manifest.
    """
    query = select(Manifest.digest, Manifest.media_type, Manifest.body)
    below: set[str] = set()
    for digest, media_type, body in db.session.execute(query.where(Manifest.digest.in_(digests))):
        parts.named[digest] = every_digest(body)
        if media_type in INDEX_TYPES:
            parts.children[digest] = every_child(body)
            below |= set(parts.named[digest]).difference(every_blob(body))
    return below


def _read_as_blobs(
    repository: RepositoryName, digests: Iterable[str], parts: ManifestGraph, end: float
) -> set[str]:
    """Add what is named by content that could not be read as a manifest; return that.

    2.8 answers 500 for a blob that is asked for as a manifest. That answer is never believed:
    the content itself tells what it needs.
    """
    problems: dict[str, RegistryError] = {}
    calls = {digest: blob_call(repository, digest) for digest in digests}
    below: set[str] = set()
    for digest, body in call_all(calls, end, problems).items() if calls else ():
        parts.named[digest] = every_digest(body)
        below.update(parts.named[digest])
    # What is larger than a manifest can be, is none.
    parts.unknown |= {d for d, why in problems.items() if not isinstance(why, ContentTooLarge)}
    return below


def _chunks(digests: Iterable[str]) -> Iterator[list[str]]:
    every = list(digests)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]
