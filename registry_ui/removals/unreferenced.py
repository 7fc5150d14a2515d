"""Deletion of manifests that no tag needs.

They are deleted one by one. A manifest is pushed again if a client has meanwhile pushed a tag that
needs it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from ..audit import OWN_SUBJECT
from ..db.session import db, end_read
from ..distribution.errors import RegistryUnavailable
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..manifests.store import digests_in_repository, fetch, stored_manifests
from ..models import Manifest, RegistryEvent, Removal, utc_now
from ..names import Digest, RepositoryName
from ..operations.errors import Canceled, Deferred, StepFailed
from ..operations.operation_lease import OperationLease
from ..registry_connection import registry
from .registry_calls import BATCH, call_registry, listed_tags, read_in_batches, require_readable

logger = logging.getLogger(__name__)

#: Timeout in seconds for reading the parts of one batch of manifests.
LOOK_DEADLINE = 300.0
#: Minimum time in seconds for which a check of all tags is trusted. A slow check is trusted for
#: twice as long as it took.
LOOK_SECONDS = 1.0
#: How far the registry's clock can be behind ours.
CLOCKS_DIFFER = timedelta(minutes=1)


def delete_unreferenced(
    lease: OperationLease[Removal],
    repository: RepositoryName,
    digests: list[str],
    planned: dict[str, str],
) -> tuple[int, int]:
    """Delete the manifests that no tag needs; return how many were deleted and how many were kept.

    Only digests that this repository has as manifests are deleted: asked to delete a blob as a
    manifest, 2.8 answers 202 and unlinks the blob.

    A client can push an index between the check of the tags and a deletion. Its push succeeds
    although children of the index are deleted. So all tags are checked again at the end, and the
    manifests that they need are pushed again.

    Args:
        digests: manifests to delete, indexes before their children.
        planned: digests by name of tags that are removed as well. What such a tag points to is kept
            only if it now points to another digest.

    Raises:
        StepFailed: the registry can't be asked, or what tags need could not be read.
        LeaseLost, Canceled, Deferred: as OperationLease.renew().
    """
    digests = _manifests_of(lease, repository, digests)
    tried: set[str] = set()
    gone: set[str] = set()
    try:
        look = _delete_each(lease, repository, digests, planned, (tried, gone))
    except (Canceled, Deferred, StepFailed, RegistryUnavailable):
        # However the work ends, an image whose push succeeded must not lack its manifests.
        if tried:
            _put_back_needed(lease, repository, digests, planned, None)
        raise
    safe = _put_back_needed(lease, repository, digests, planned, None if tried else look)
    return len(gone - safe), len(set(digests) - (tried - safe))


@dataclass(frozen=True, slots=True)
class _Look:
    """Result of a check: the digests that tags need, and until when it is trusted."""

    safe: frozenset[str]
    good_until: float


class _Pushes:
    """Tags that clients push to a repository from now on, according to the registry's events.

    An event arrives within moments and costs no call. So a manifest is kept if a tag that needs it
    is pushed between two checks of all tags. Our own pushes are ignored: a removal can delete the
    copies of a move right after they were made, while the events of these copies still arrive.
    """

    def __init__(self, repository: RepositoryName) -> None:
        self._repository = repository
        last = db.session.scalar(select(func.max(RegistryEvent.id))) or 0
        told = func.coalesce(RegistryEvent.occurred_at, RegistryEvent.received_at)
        self._query = select(RegistryEvent.digest).where(
            RegistryEvent.id > last,
            RegistryEvent.repository == str(repository),
            RegistryEvent.action == "push",
            RegistryEvent.tag != "",
            RegistryEvent.status != "rejected",
            RegistryEvent.actor != OWN_SUBJECT,
            # Tags of older events, which were delayed in the registry, are already in its list of
            # tags.
            told > utc_now() - CLOCKS_DIFFER,
        )
        self._tops: set[str] = set()
        self._safe: set[str] = set()
        end_read()

    def safe(self) -> set[str]:
        """Return the digests reachable from tags pushed since this object was created."""
        tops = {digest for digest in db.session.scalars(self._query) if digest}
        if tops != self._tops:
            needed = closure(tops, graph_of(self._repository, tops, LOOK_DEADLINE).named)
            self._tops, self._safe = tops, set(needed)
        end_read()
        return self._safe


def _delete_each(
    lease: OperationLease[Removal],
    repository: RepositoryName,
    digests: list[str],
    planned: dict[str, str],
    noted: tuple[set[str], set[str]],
) -> _Look | None:
    """Delete the manifests that no tag needs, one by one; return the last check of the tags.

    Args:
        noted: two sets that are filled with the digests whose deletion was attempted, and with
            those of them that existed.
    """
    tried, gone = noted
    pushes, look = _Pushes(repository), None
    for digest in digests:
        lease.renew()
        # Deletion by digest removes every tag that points to it, even one pushed a moment ago.
        if look is None or time.monotonic() > look.good_until:
            look = _look(lease, repository, planned, planned)
        if digest not in look.safe and digest not in pushes.safe():
            tried.add(digest)
            if _delete(lease, repository, digest):
                gone.add(digest)
    return look


def _put_back_needed(
    lease: OperationLease[Removal],
    repository: RepositoryName,
    digests: list[str],
    going: Collection[str],
    look: _Look | None,
) -> frozenset[str]:
    """Push deleted manifests again if tags need them; return all digests that tags need.

    Args:
        digests: manifests that may have been deleted, indexes before their children.
        going: names of the tags to remove.
        look: the last check of the tags if nothing was deleted since; None to check again.
    """
    with lease.ignoring_cancellation():
        if look is None and digests:
            # A planned tag that still exists was pushed again.
            look = _look(lease, repository, {}, going)
        safe = look.safe if look else frozenset()
        for digest in reversed(digests):  # children come before their index
            if digest in safe:
                lease.renew()
                _put_back(lease, repository, digest)
    return safe


def _manifests_of(
    lease: OperationLease[Removal], repository: RepositoryName, digests: list[str]
) -> list[str]:
    """Return the digests that the repository has as manifests.

    Their bodies are stored, so that this worker or the next one can push them again.
    """
    found: set[str] = set()
    for start in range(0, len(digests), BATCH):
        lease.renew()
        some = digests[start : start + BATCH]
        stored = digests_in_repository(str(repository), some) & stored_manifests(some).keys()
        found |= (
            stored | fetch(repository, set(some) - stored, LOOK_DEADLINE, lease.renew).manifests
        )
    end_read()
    return [digest for digest in digests if digest in found]


def _put_back(lease: OperationLease[Removal], repository: RepositoryName, digest: str) -> None:
    """Push a manifest again if it was deleted although a tag needs it.

    Raises:
        StepFailed: its body is not stored.
    """
    if call_registry(lease, lambda: registry().head(repository, Digest(digest))) is not None:
        return
    kept = db.session.get(Manifest, digest)
    body = kept.body if kept else None
    end_read()
    if kept is None or body is None:
        raise StepFailed(f"{digest[:19]}… went, and a tag that was pushed meanwhile needs it")
    logger.warning("%s: %s is needed by a tag that was pushed meanwhile", repository, digest)
    call_registry(
        lease, lambda: registry().put_manifest(repository, Digest(digest), body, kept.media_type)
    )


def _look(
    lease: OperationLease[Removal],
    repository: RepositoryName,
    planned: Mapping[str, str],
    going: Collection[str],
) -> _Look:
    """Read all tags of a repository, and return which digests they need.

    Args:
        planned: digests of tags to remove. A tag that still points to its digest here needs
            nothing.
        going: names of tags that can already point to nothing, because they are being removed.

    Raises:
        StepFailed: a tag or a manifest could not be read.
    """
    began = time.monotonic()
    end_read()
    names = listed_tags(lease, repository)
    live = read_in_batches(lease, repository, names)
    require_readable(repository, live, going)
    tops = {digest for tag, digest in live.digests.items() if planned.get(tag) != digest}
    safe: set[str] = set()
    every = sorted(tops)
    for start in range(0, len(every), BATCH):
        lease.renew()
        some = every[start : start + BATCH]
        parts = graph_of(repository, some, LOOK_DEADLINE, lease.renew)
        needed = closure(some, parts.named)
        if parts.unknown.intersection(needed):
            raise StepFailed("what other tags need could not be read, so no manifest was deleted")
        safe |= set(needed)
    end_read()
    took = time.monotonic() - began
    return _Look(frozenset(safe), began + took + max(LOOK_SECONDS, 2 * took))


def _delete(lease: OperationLease[Removal], repository: RepositoryName, digest: str) -> bool:
    """Delete a manifest right after a check of all tags; return whether it existed.

    The call is not repeated after a wait, because the check is outdated by then.
    """

    def call() -> bool:
        registry().delete_manifest(repository, Digest(digest))
        return True

    return call_registry(lease, call, repeat=False) or False
