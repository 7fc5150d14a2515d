"""Graph of the manifests and blobs that some manifests reference, at any depth.

Manifests are read from the database, which permanently stores each manifest that was fetched; only
missing manifests are fetched from the registry. In this module, an index is an OCI index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy import select

from ..batches import split_into_batches
from ..db.session import db
from ..distribution.errors import ContentTooLarge
from ..distribution.manifest import MAX_LAYERS
from ..distribution.media_types import INDEX_TYPES
from ..distribution.references import every_blob, every_child, every_digest
from ..models import Manifest
from ..names import RepositoryName
from .batch_calls import blob_call, call_all
from .store import digests_in_repository, facts_of, fetch

#: Maximum number of digests in one SQL query.
BATCH_SIZE = 500
#: Maximum number of manifests that are fetched from the registry for one graph. Ten more are
#: allowed for each manifest that the graph starts with.
MAX_FETCHED = 2000


@dataclass(slots=True)
class ManifestGraph:
    """The references from manifests to other manifests and to blobs.

    The keys of the dictionaries are the digests of the referencing manifests.

    Attributes:
        children: digests that an OCI index lists as manifests and that exist as manifests.
        referenced: digests of all content that a manifest can need: every digest in an OCI index,
            or the blobs of any other manifest.
        unread: digests of content that could not be read, so that its references are unknown.
        blobs: sizes in bytes of a manifest's blobs, by digest of the blob; only for manifests that
            the repository is known to have.
    """

    children: dict[str, list[str]] = field(default_factory=dict)
    referenced: dict[str, list[str]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    blobs: dict[str, dict[str, int]] = field(default_factory=dict)


def graph_of(
    repository: RepositoryName,
    roots: Iterable[str],
    deadline: float,
    renew: Callable[[], None] = lambda: None,
) -> ManifestGraph:
    """Return the graph of everything that some manifests of a repository reference, at any depth.

    Args:
        repository: the repository that has the manifests.
        roots: digests of the manifests to start with.
        deadline: time limit in seconds. Manifests that are not read in time become ``unread``.
        renew: called before each batch of registry calls, to renew the worker's lease. An exception
            from ``renew`` ends the function and is passed on.
    """
    end = time.monotonic() + deadline
    graph = ManifestGraph()
    level = list(dict.fromkeys(roots))
    root_digests, fetch_count = set(level), 0
    max_fetched = MAX_FETCHED + 10 * len(level)
    visited, manifests = set(level), set[str]()
    while level:
        stored_digests, candidates = _add_stored(repository, level, root_digests, graph)
        missing = set(level) - stored_digests
        fetch_count += len(missing)
        if fetch_count > max_fetched:
            graph.unread |= missing
        elif missing:
            bodies = fetch(repository, missing, end - time.monotonic(), renew)
            new_digests, new_candidates = _add_stored(
                repository, bodies.manifests, root_digests, graph
            )
            stored_digests |= new_digests
            candidates |= new_candidates | _fetch_as_blobs(repository, bodies.unread, graph, end)
        manifests |= stored_digests
        level = sorted(candidates - visited)
        visited |= candidates
    for digest, children in graph.children.items():
        graph.children[digest] = [child for child in children if child in manifests]
    return graph


def _add_stored(
    repository: RepositoryName, digests: Iterable[str], root_digests: set[str], graph: ManifestGraph
) -> tuple[set[str], set[str]]:
    """Add those of the given manifests that are stored in the database to the graph.

    Args:
        repository: the repository that has the manifests.
        digests: digests of the manifests to look up.
        root_digests: digests that the graph starts with, which the repository is known to have.
        graph: the graph, which is extended.

    Returns:
        The digests of the stored manifests, and the digests that these manifests reference and
        that can be manifests.
    """
    stored_digests: set[str] = set()
    candidates: set[str] = set()
    for batch in split_into_batches(digests, BATCH_SIZE):
        rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(batch))).all()
        in_repository = root_digests.intersection(batch) | digests_in_repository(
            str(repository), batch
        )
        with_body = []
        for row in rows:
            stored_digests.add(row.digest)
            blobs = facts_of(row).blobs
            graph.referenced[row.digest] = [blob.digest for blob in blobs]
            # A schema 1 manifest does not state the sizes of its blobs.
            if row.digest in in_repository and row.kind != "schema 1":
                graph.blobs[row.digest] = {blob.digest: max(blob.size, 0) for blob in blobs}
            if row.media_type in INDEX_TYPES or row.kind == "unknown" or len(blobs) >= MAX_LAYERS:
                with_body.append(row.digest)
        candidates |= _add_references_in_bodies(with_body, graph)
    return stored_digests, candidates


def _add_references_in_bodies(digests: list[str], graph: ManifestGraph) -> set[str]:
    """Add every digest in the stored bodies of some manifests to the graph's references.

    This is needed for OCI indexes, and for manifests whose stored summary is truncated.

    Args:
        digests: digests of the manifests.
        graph: the graph, which is extended.

    Returns:
        The digests in OCI indexes that can be manifests. Entries that are blobs by their media
        types are left out, because the registry answers 500 if a blob is requested as a manifest.
    """
    query = select(Manifest.digest, Manifest.media_type, Manifest.body)
    candidates: set[str] = set()
    for digest, media_type, body in db.session.execute(query.where(Manifest.digest.in_(digests))):
        graph.referenced[digest] = every_digest(body)
        if media_type in INDEX_TYPES:
            graph.children[digest] = every_child(body)
            candidates |= set(graph.referenced[digest]).difference(every_blob(body))
    return candidates


def _fetch_as_blobs(
    repository: RepositoryName, digests: Iterable[str], graph: ManifestGraph, end: float
) -> set[str]:
    """Fetch content as blobs if it could not be fetched as manifests, and add its references.

    Distribution 2.8 answers 500 if a blob is requested as a manifest, so a 500 does not prove that
    the content is damaged. Every digest in the content counts as a reference.

    Args:
        repository: the repository that has the content.
        digests: digests of the content.
        graph: the graph, which is extended. Content that can't be read becomes ``unread``.
        end: deadline, as a value of time.monotonic().

    Returns:
        The digests that the content references.
    """
    calls = {digest: blob_call(repository, digest) for digest in digests}
    references: set[str] = set()
    if not calls:
        return references
    results = call_all(calls, end)
    for digest, body in results.answers.items():
        graph.referenced[digest] = every_digest(body)
        references.update(graph.referenced[digest])
    # Content that exceeds the size limit of manifests is a plain blob without references.
    graph.unread |= {
        digest
        for digest, problem in results.problems.items()
        if not isinstance(problem, ContentTooLarge)
    }
    return references
