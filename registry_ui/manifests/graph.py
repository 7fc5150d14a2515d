"""Graph of the manifests and blobs that some manifests reference, at any depth.

Manifests come from the store, and those that it lacks are fetched from the registry. Because a
digest identifies immutable content, no manifest is fetched twice.
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

#: Maximum number of digests in one SQL query.
CHUNK = 500
#: Maximum number of manifests fetched from the registry for one graph, plus ten for each root.
MAX_ASKED = 2000


@dataclass(slots=True)
class ManifestGraph:
    """The references between manifests and blobs, by the digest of the referencing manifest.

    Attributes:
        children: the existing manifests that an index lists, according to their media types.
        named: everything that a manifest can need: every digest in an index, or the blobs of any
            other manifest.
        unknown: digests that could not be read, so that their references are unknown.
        blobs: sizes in bytes of the blobs, by digest; only for manifests that the repository is
            known to have.
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
    """Return the graph below some manifests of a repository.

    Args:
        repository: the repository that has the manifests.
        tops: digests of the manifests to start with.
        deadline: time limit in seconds. Manifests that are not read in time are unknown.
        hold: called before each batch of registry calls, to renew a lease. An exception that it
            raises ends the work and is passed on.
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
    """Add the manifests that are in the store to the graph.

    Args:
        repository: the repository that has the manifests.
        digests: digests of the manifests to look up.
        own: digests that the repository is known to have, because tags point to them.
        parts: the graph, which is extended.

    Returns:
        The digests that are in the store, and the digests below them that can be manifests.
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
            # Schema 1 does not state the sizes of its blobs.
            if row.digest in here and row.kind != "schema 1":
                parts.blobs[row.digest] = {blob.digest: max(blob.size, 0) for blob in blobs}
            if row.media_type in INDEX_TYPES or row.kind == "unknown" or len(blobs) >= MAX_LAYERS:
                in_full.append(row.digest)
        below |= _read_in_full(in_full, parts)
    return found, below


def _read_in_full(digests: list[str], parts: ManifestGraph) -> set[str]:
    """Add all digests in the bodies of indexes, and of manifests whose facts are truncated.

    Returns:
        The digests in indexes that can be manifests. Entries that are blobs by their media types
        are left out, because the registry answers 500 if a blob is requested as a manifest.
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
    """Fetch content as blobs that could not be fetched as manifests, and add its references.

    Distribution 2.8 answers 500 if a blob is requested as a manifest, so a 500 does not prove that
    the content is damaged. Every digest in it counts as a reference.

    Args:
        repository: the repository that has the content.
        digests: digests of the content.
        parts: the graph, which is extended. Content that can't be read becomes unknown.
        end: deadline, as a value of time.monotonic().

    Returns:
        The digests that the content references.
    """
    problems: dict[str, RegistryError] = {}
    calls = {digest: blob_call(repository, digest) for digest in digests}
    below: set[str] = set()
    for digest, body in call_all(calls, end, problems).items() if calls else ():
        parts.named[digest] = every_digest(body)
        below.update(parts.named[digest])
    # Content that exceeds the size limit of manifests is a plain blob without references.
    parts.unknown |= {d for d, why in problems.items() if not isinstance(why, ContentTooLarge)}
    return below


def _chunks(digests: Iterable[str]) -> Iterator[list[str]]:
    every = list(digests)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]
