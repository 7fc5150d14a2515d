"""Deletion of manifests that no tag needs.

A tag needs the manifest that it points to, and all content that the manifest references. Manifests
that no tag needs are deleted one by one. A deleted manifest is pushed again if a client has
meanwhile pushed a tag that needs it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select

from ..audit import OWN_SUBJECT
from ..batches import split_into_batches
from ..db.session import db, end_read
from ..distribution.errors import RegistryUnavailable
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..manifests.store import digests_in_repository, fetch, stored_manifests
from ..models import Manifest, RegistryEvent, utc_now
from ..names import Digest, RepositoryName
from ..operations.errors import Canceled, Deferred, StepFailed
from ..registry_connection import registry
from .lease import RemovalLease
from .registry_calls import (
    BATCH_SIZE,
    call_registry,
    listed_tags,
    read_in_batches,
    require_readable,
)

logger = logging.getLogger(__name__)

#: Timeout in seconds for reading the parts of one batch of manifests.
MANIFESTS_TIMEOUT = 300.0
#: Minimum time in seconds for which a check of all tags is trusted. A slow check is trusted for
#: twice as long as it took.
MIN_CHECK_LIFETIME = 1.0
#: Maximum time by which the registry's clock can be behind the clock of this application.
MAX_CLOCK_SKEW = timedelta(minutes=1)


def delete_unreferenced(
    lease: RemovalLease,
    repository: RepositoryName,
    digests: list[str],
    planned_digests: dict[str, str],
) -> tuple[int, int]:
    """Delete the manifests that no tag needs; return how many were deleted and how many were kept.

    Only digests that the repository has as manifests are deleted, because Distribution 2.8 unlinks
    a blob if it is asked to delete the blob's digest as a manifest.

    A client can push an OCI index between the check of the tags and a deletion. The push succeeds
    although children of that index are deleted. So all tags are checked again at the end, and the
    manifests that they need are pushed again.

    Args:
        digests: manifests to delete, indexes before their children.
        planned_digests: maps each tag that the same removal deletes to its planned digest. While
            a tag has this digest, it does not keep any manifest from being deleted.

    Raises:
        StepFailed: a registry call failed, or the manifests that tags need could not be read.
        RegistryUnavailable: the registry did not answer a deletion.
        LeaseLost: another worker holds the removal now.
        Canceled, Deferred: a user canceled the removal, or the removal must continue later.
    """
    digests = _store_manifests(lease, repository, digests)
    progress = _DeletionProgress()
    try:
        _delete_each(lease, repository, digests, planned_digests, progress)
    except (Canceled, Deferred, StepFailed, RegistryUnavailable):
        # However the work ends, an image whose push succeeded must not lack its manifests.
        if progress.attempted:
            _restore_needed(lease, repository, digests, planned_digests, None)
        raise
    check = None if progress.attempted else progress.last_check
    needed_digests = _restore_needed(lease, repository, digests, planned_digests, check)
    deleted_count = len(progress.deleted - needed_digests)
    kept_count = len(set(digests) - (progress.attempted - needed_digests))
    return deleted_count, kept_count


@dataclass(frozen=True, slots=True)
class _TagCheck:
    """Result of checking all tags in a repository.

    Attributes:
        needed_digests: digests of the manifests and blobs that the tags need.
        valid_until: time.monotonic() value until which the result is trusted.
    """

    needed_digests: frozenset[str]
    valid_until: float


@dataclass(slots=True)
class _DeletionProgress:
    """Progress of deleting manifests one by one.

    Attributes:
        attempted: digests of the manifests whose deletion was attempted.
        deleted: digests of the attempted manifests that existed.
        last_check: result of the last check of the tags, or None before the first one.
    """

    attempted: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    last_check: _TagCheck | None = None


class _PushWatcher:
    """Watcher for tags that clients push to a repository, according to the registry's events.

    It supplements the slow checks of all tags: an event arrives within moments and costs no
    registry call. The pushes of this application are ignored: a removal can delete the copies of a
    move right after they were made, while events for these copies are still arriving.
    """

    def __init__(self, repository: RepositoryName) -> None:
        self._repository = repository
        last_event_id = db.session.scalar(select(func.max(RegistryEvent.id))) or 0
        pushed_at = func.coalesce(RegistryEvent.occurred_at, RegistryEvent.received_at)
        self._query = select(RegistryEvent.digest).where(
            RegistryEvent.id > last_event_id,
            RegistryEvent.repository == str(repository),
            RegistryEvent.action == "push",
            RegistryEvent.tag != "",
            RegistryEvent.status != "rejected",
            RegistryEvent.actor != OWN_SUBJECT,
            # Tags of older events, which were delayed in the registry, are already in its list of
            # tags.
            pushed_at > utc_now() - MAX_CLOCK_SKEW,
        )
        self._roots: set[str] = set()
        self._needed_digests: set[str] = set()
        end_read()

    def load_needed_digests(self) -> set[str]:
        """Return the digests reachable from tags pushed since this watcher was created."""
        roots = {digest for digest in db.session.scalars(self._query) if digest}
        if roots != self._roots:
            reachable = closure(
                roots, graph_of(self._repository, roots, MANIFESTS_TIMEOUT).referenced
            )
            self._roots, self._needed_digests = roots, set(reachable)
        end_read()
        return self._needed_digests


def _delete_each(
    lease: RemovalLease,
    repository: RepositoryName,
    digests: list[str],
    planned_digests: dict[str, str],
    progress: _DeletionProgress,
) -> None:
    """Delete the manifests that no tag needs, one by one.

    Args:
        digests: manifests to delete, indexes before their children.
        planned_digests: maps each tag that the same removal deletes to its planned digest.
        progress: record of the deletions. It is updated before and after each deletion, so that it
            is correct even if an error is raised.
    """
    watcher, check = _PushWatcher(repository), None
    for digest in digests:
        lease.renew()
        # Deleting a manifest removes every tag that points to it, even one pushed a moment ago.
        if check is None or time.monotonic() > check.valid_until:
            check = progress.last_check = _check_tags(
                lease, repository, planned_digests, planned_digests
            )
        if digest not in check.needed_digests and digest not in watcher.load_needed_digests():
            progress.attempted.add(digest)
            if _delete_manifest(lease, repository, digest):
                progress.deleted.add(digest)


def _restore_needed(
    lease: RemovalLease,
    repository: RepositoryName,
    digests: list[str],
    to_delete: Collection[str],
    check: _TagCheck | None,
) -> frozenset[str]:
    """Push deleted manifests again if tags need them; return all digests that tags need.

    Args:
        digests: manifests that may have been deleted, indexes before their children.
        to_delete: names of the tags that the same removal deletes.
        check: the last check of the tags if nothing was deleted since; None to check again.
    """
    with lease.ignoring_cancellation():
        if check is None and digests:
            # A planned tag that still exists was pushed again.
            check = _check_tags(lease, repository, {}, to_delete)
        needed_digests = check.needed_digests if check else frozenset()
        for digest in reversed(digests):  # children come before their index
            if digest in needed_digests:
                lease.renew()
                _restore_manifest(lease, repository, digest)
    return needed_digests


def _store_manifests(
    lease: RemovalLease, repository: RepositoryName, digests: list[str]
) -> list[str]:
    """Return those of the digests that the repository has as manifests, and store their bodies.

    With the body in the database, this worker or the next one can push a manifest again.
    """
    manifests: set[str] = set()
    for batch in split_into_batches(digests, BATCH_SIZE):
        lease.renew()
        stored = digests_in_repository(str(repository), batch) & stored_manifests(batch).keys()
        manifests |= (
            stored
            | fetch(repository, set(batch) - stored, MANIFESTS_TIMEOUT, lease.renew).manifests
        )
    end_read()
    return [digest for digest in digests if digest in manifests]


def _restore_manifest(lease: RemovalLease, repository: RepositoryName, digest: str) -> None:
    """Push a manifest again if it was deleted although a tag needs it.

    Raises:
        StepFailed: the body of the manifest is not in the database.
    """
    if call_registry(lease, lambda: registry().head(repository, Digest(digest))) is not None:
        return
    manifest = db.session.get(Manifest, digest)
    body = manifest.body if manifest else None
    end_read()
    if manifest is None or body is None:
        raise StepFailed(f"{digest[:19]}… went, and a tag that was pushed meanwhile needs it")
    logger.warning("%s: %s is needed by a tag that was pushed meanwhile", repository, digest)
    call_registry(
        lease,
        lambda: registry().put_manifest(repository, Digest(digest), body, manifest.media_type),
    )


def _check_tags(
    lease: RemovalLease,
    repository: RepositoryName,
    planned_digests: Mapping[str, str],
    to_delete: Collection[str],
) -> _TagCheck:
    """Read all tags of a repository, and return which digests they need.

    Args:
        planned_digests: maps each tag to remove to its planned digest. While a tag has this
            digest, the manifests that it points to do not count as needed by it.
        to_delete: names of the tags that are being removed, whose manifests can already be deleted.

    Raises:
        StepFailed: a tag or a manifest could not be read.
    """
    started_at = time.monotonic()
    end_read()
    names = listed_tags(lease, repository)
    live = read_in_batches(lease, repository, names)
    require_readable(repository, live, to_delete)
    roots = {digest for tag, digest in live.digests.items() if planned_digests.get(tag) != digest}
    needed_digests: set[str] = set()
    for batch in split_into_batches(sorted(roots), BATCH_SIZE):
        lease.renew()
        graph = graph_of(repository, batch, MANIFESTS_TIMEOUT, lease.renew)
        reachable = closure(batch, graph.referenced)
        if graph.unread.intersection(reachable):
            raise StepFailed("what other tags need could not be read, so no manifest was deleted")
        needed_digests |= set(reachable)
    end_read()
    duration = time.monotonic() - started_at
    return _TagCheck(
        frozenset(needed_digests), started_at + duration + max(MIN_CHECK_LIFETIME, 2 * duration)
    )


def _delete_manifest(lease: RemovalLease, repository: RepositoryName, digest: str) -> bool:
    """Delete a manifest right after a check of all tags; return whether it existed.

    The call is not repeated after an outage, because the check would be outdated.
    """

    def call() -> bool:
        registry().delete_manifest(repository, Digest(digest))
        return True

    return call_registry(lease, call, repeat=False) or False
