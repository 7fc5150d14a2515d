"""Manifests that no tag needs: deleted one by one, and put back where somebody pushed meanwhile."""

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

#: Seconds that the parts of so many manifests may take to be read.
LOOK_DEADLINE = 300.0
#: A look at what tags need holds for so many seconds, or twice as long as it took.
LOOK_SECONDS = 1.0
#: The registry's clock may be so far behind ours.
CLOCKS_DIFFER = timedelta(minutes=1)


def delete_unreferenced(
    lease: OperationLease[Removal],
    repository: RepositoryName,
    digests: list[str],
    planned: dict[str, str],
) -> tuple[int, int]:
    """Delete those manifests that no tag needs; return how many went and how many stayed.

    Only what this repository has as a manifest is deleted: asked to delete a blob as a
    manifest, 2.8 answers 202 and unlinks the blob.

    A look is not the deed: whoever pushes an index in between is told that it worked, and its
    parts go all the same. So there is a last look, and what is needed by then is put back.

    Args:
        planned: tags that go themselves, as long as they stand for these digests.

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
        # Whatever ends the work: no push that was told that it worked is left without its parts.
        if tried:
            _put_back_needed(lease, repository, digests, planned, None)
        raise
    safe = _put_back_needed(lease, repository, digests, planned, None if tried else look)
    return len(gone - safe), len(set(digests) - (tried - safe))


@dataclass(frozen=True, slots=True)
class _Look:
    """What the tags of a repository needed a moment ago."""

    safe: frozenset[str]
    good_until: float


class _Pushes:
    """What people push to a repository from now on, as the registry tells it.

    An event comes within moments, and costs no call: so a tag that is pushed between two
    looks does not go with a manifest that was to go. Our own pushes are not among them: what
    a move copied is taken back by a removal, at once, and its events may be late.
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
            # What waited at the registry for long, is in what it lists.
            told > utc_now() - CLOCKS_DIFFER,
        )
        self._tops: set[str] = set()
        self._safe: set[str] = set()
        end_read()

    def safe(self) -> set[str]:
        """Return what such tags need."""
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
    """Delete those that no tag needs, one by one; return the last look.

    Args:
        noted: takes those that were tried, and those of them that were there.
    """
    tried, gone = noted
    pushes, look = _Pushes(repository), None
    for digest in digests:
        lease.renew()
        # Deletion by digest takes every tag on it, also one that was pushed a moment ago.
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
    """Put back what tags need; return what that is.

    Args:
        going: tags that go themselves.
        look: the last one, if nothing was deleted since.
    """
    with lease.ignoring_cancellation():
        if look is None and digests:
            # A tag that was to go and is there now, was pushed anew.
            look = _look(lease, repository, {}, going)
        safe = look.safe if look else frozenset()
        for digest in reversed(digests):  # parts come before what names them
            if digest in safe:
                lease.renew()
                _put_back(lease, repository, digest)
    return safe


def _manifests_of(
    lease: OperationLease[Removal], repository: RepositoryName, digests: list[str]
) -> list[str]:
    """Return the digests that the repository has as manifests, and no others.

    Their bodies are in the store then: they may have to be put back, also by the next worker.
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
    """Push a manifest again that a tag needs, where it went a moment ago."""
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
    """Look at all tags, and at what they need.

    Args:
        planned: tags that need nothing, as long as they stand for these digests.
        going: tags that may stand for nothing by now.
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
    """Delete a manifest just after a look at all tags; return whether there was one.

    It is not deleted again after a wait, for which the look does not hold.
    """

    def call() -> bool:
        registry().delete_manifest(repository, Digest(digest))
        return True

    return call_registry(lease, call, repeat=False) or False
