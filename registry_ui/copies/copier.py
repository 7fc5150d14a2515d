"""Copy a manifest and its blobs to another repository by cross-repository mounts.

No blob data passes through this process. Each part is looked up at the target first, so a copy can
be repeated at any time: existing parts are left unchanged, and an interrupted copy resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from typing import Protocol

from ..distribution.client import FetchedManifest
from ..distribution.errors import (
    PartsMissing,
    RegistryError,
    RegistryFault,
    RegistryNotFound,
    RegistryUnavailable,
    Schema1Refused,
)
from ..distribution.media_types import INDEX_TYPES
from ..distribution.references import References, references_of
from ..manifests.store import call_all
from ..names import Digest, RepositoryName, TagName
from ..registry_connection import registry

#: Number of blobs per batch (the hold callback runs before each batch), and the timeout of a batch
#: in seconds.
BATCH, DEADLINE = 32, 20.0
#: Maximum number of manifests in one image or index, and maximum nesting depth; anything beyond
#: that is not an image but an attack.
MAX_MANIFESTS, MAX_DEPTH = 2000, 8
#: Seconds to pause after each failed attempt to push a manifest. Distribution 2.8 can miss a blob
#: whose link a concurrent push is rewriting (docs/protocols.md, "Found since").
PAUSES = (0.1, 0.3, 0.0)
#: Content of the blob that is uploaded to test whether the registry can store anything.
PROBE = b"registry_ui: can anything be stored here?\n"
NO_MOUNTS = "the registry does not mount blobs from one repository in another"


class CopyRefused(Exception):
    """A manifest cannot be copied; the message gives the reason for the report."""


class MountsRefused(CopyRefused):
    """The registry does not mount blobs between repositories, so nothing can be copied."""


class TagKept(Exception):
    """A tag of the target is left unchanged; the message gives the reason for the report."""


class CopyRecord(Protocol):
    """Persistent record of manifests that the target has with all their parts."""

    def find(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a recorded manifest and of its descendants, or None."""

    def add(self, digest: str, manifests: tuple[str, ...]) -> None:
        """Record a manifest with the digests of itself and of all its descendants."""

    def clear(self) -> None:
        """Delete all records, because the target lacks parts of a recorded manifest."""


class _Blob(Enum):
    """The result of copying one blob."""

    THERE, MOUNTED, ABSENT, REFUSED = auto(), auto(), auto(), auto()


@dataclass(slots=True)
class CopyResult:
    """A manifest that the target has now, verified by its digest.

    Attributes:
        top: the manifest itself.
        manifests: digests of the manifest and of all its descendants, children first.
        missing: digests that the source does not have.
        written: number of manifests and blobs that were new at the target.
    """

    top: FetchedManifest
    manifests: tuple[str, ...]
    missing: tuple[str, ...]
    written: int

    @property
    def digest(self) -> str:
        """The digest of the manifest, which is the same at the source and at the target."""
        return self.top.digest


@dataclass(slots=True)
class _CopyProgress:
    """Intermediate result of copying one manifest; the fields are those of CopyResult."""

    manifests: dict[str, None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    written: int = 0


class Copier:
    """Copier of manifests from one repository of the registry to another.

    The caller must have checked the permissions to pull from the source and push to the target.

    Args:
        source: the repository to copy from.
        target: the repository to copy to.
        hold: called before every few requests to the registry, for example to renew a lease; an
            exception that it raises ends the copy.
        record: manifests that an earlier worker copied and that are not checked again.
    """

    def __init__(
        self,
        source: RepositoryName,
        target: RepositoryName,
        hold: Callable[[], None],
        record: CopyRecord | None = None,
    ) -> None:
        self.source, self.target, self.hold = source, target, hold
        self._record = record
        self._client = registry()
        #: Blobs that the target is known to have.
        self._there: set[str] = set()
        #: Manifests that the target is known to have with all descendants, mapped to the digests of
        #: the descendants and the manifest itself. A thousand referrers can share the same thousand
        #: children.
        self._whole: dict[str, tuple[str, ...]] = {}

    def bring(self, digest: str, name: TagName | None = None) -> CopyResult:
        """Copy a manifest with all its descendants, unless the target has them already.

        An index with missing children is copied as far as the registry accepts it.

        Args:
            digest: the digest of the manifest at the source.
            name: a tag of the target that does not refer to the manifest yet. The manifest is then
                pushed only by this tag, because the registry stores it by digest as well.

        Raises:
            CopyRefused: the manifest cannot be copied, or the registry did not accept it.
            RegistryNotFound: the source does not have it.
            RegistryError: the registry cannot be reached.
        """
        under = _CopyProgress()
        top = self._bring(Digest(digest), under, 0, name)
        if top is None:
            raise RegistryNotFound(f"{self.source} does not have {digest[:19]}…")
        return CopyResult(top, tuple(under.manifests), tuple(under.missing), under.written)

    def tag(self, name: TagName, manifest: FetchedManifest) -> bool:
        """Point a tag of the target to a manifest; return False if it already did.

        Raises:
            CopyRefused: the tag does not refer to the manifest after the push.
            RegistryError: the registry did not accept it or cannot be reached.
        """
        return self._put(name, manifest)

    def stands_for(self, repository: RepositoryName, reference: TagName | Digest) -> str | None:
        """Return the current digest of a tag or manifest, or None if it does not exist."""
        try:
            return self._client.head(repository, reference)
        except RegistryNotFound:
            return None

    def require_storage(self) -> None:
        """Raise RegistryError unless the registry can store a blob in the target.

        A registry with a full disk answers 500 to every push, so the image is not at fault.
        """
        try:
            self._client.put_blob(self.target, PROBE)
        except RegistryFault as error:
            raise RegistryUnavailable(str(error)) from None

    def _bring(
        self, digest: Digest, under: _CopyProgress, depth: int, name: TagName | None = None
    ) -> FetchedManifest | None:
        """Copy a manifest after its parts; return None if the source does not have it."""
        _require_bounds(depth, len(under.manifests) + 1)
        self.hold()
        try:
            manifest = self._client.manifest(self.source, digest)
        except RegistryNotFound:
            return None
        if self._record is not None and (copied := self._copied(str(digest))) is not None:
            under.manifests |= dict.fromkeys(copied)
            if name is not None:
                self._push(name, manifest)
            return manifest
        references = references_of(manifest.media_type, manifest.body)
        for child in references.children:
            if not self._bring_child(child, under, depth + 1):
                under.missing.append(child)
        absent = self._mount(references.blobs, references.elsewhere, under)
        for part in absent:
            # An index can list a manifest with the media type of a blob, or without one.
            is_index = manifest.media_type in INDEX_TYPES
            if not (is_index and self._bring_child(part, under, depth + 1)):
                under.missing.append(part)
        under.written += self._put(digest, manifest) if name is None else self._push(name, manifest)
        under.manifests[str(digest)] = None
        self._note_whole(str(digest), references)
        return manifest

    def _bring_child(self, child: str, under: _CopyProgress, depth: int) -> bool:
        """Copy an entry of an index; return whether the source has it.

        An index can list a blob with the media type of a manifest. Distribution 2.8 accepts that,
        and answers 500 when that manifest is read.
        """
        if child in under.manifests or child in under.missing:
            return True  # It was processed already.
        if (copied := self._copied(child)) is not None:
            under.manifests |= dict.fromkeys(copied)
            _require_bounds(depth, len(under.manifests))
            return True
        try:
            return self._bring(Digest(child), under, depth) is not None
        except RegistryFault:
            if not self._client.has_blob(self.source, Digest(child)):
                raise
            return not self._mount([child], (), under)

    def _note_whole(self, digest: str, references: References) -> None:
        below = [self._whole.get(child) for child in references.children]
        if None not in below and self._there.issuperset(references.blobs):
            whole = tuple(dict.fromkeys((*chain(*filter(None, below)), digest)))
            self._whole[digest] = whole
            if self._record is not None:
                self._record.add(digest, whole)

    def _copied(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a manifest and its descendants if the target has all of them.

        None if that is not known.
        """
        if digest not in self._whole and self._record is not None:
            recorded = self._record.find(digest)
            if recorded is not None:
                self._whole[digest] = recorded
        return self._whole.get(digest)

    def _mount(
        self, blobs: Iterable[str], elsewhere: Collection[str], under: _CopyProgress
    ) -> list[str]:
        """Mount blobs that the target does not have yet.

        Args:
            blobs: digests of the blobs.
            elsewhere: the subset that the registry need not have, such as foreign layers.
            under: the progress of the copy, which counts mounted blobs.

        Returns:
            Digests that the source lacks although it should have them.

        Raises:
            MountsRefused: the registry does not mount blobs.
            RegistryError: the registry cannot be reached.
        """
        wanted = [blob for blob in blobs if blob not in self._there]
        absent: list[str] = []
        for start in range(0, len(wanted), BATCH):
            self.hold()
            calls = {
                blob: self._mounting(Digest(blob), may_lack=blob in elsewhere)
                for blob in wanted[start : start + BATCH]
            }
            problems: dict[str, RegistryError] = {}
            outcomes: dict[str, _Blob] = call_all(calls, time.monotonic() + DEADLINE, problems)
            for problem in problems.values():
                raise problem
            for blob, outcome in outcomes.items():
                if outcome is _Blob.REFUSED:
                    raise MountsRefused(NO_MOUNTS)
                if outcome is not _Blob.ABSENT:
                    self._there.add(blob)
                elif blob not in elsewhere:
                    absent.append(blob)
                under.written += outcome is _Blob.MOUNTED
        return absent

    def _mounting(self, blob: Digest, *, may_lack: bool) -> Callable[[], _Blob]:
        """Return a function for a worker thread that mounts one blob if the target lacks it.

        Args:
            blob: the digest of the blob.
            may_lack: whether the registry need not have the blob; then the source is checked first.
        """
        client, source, target = self._client, self.source, self.target

        def call() -> _Blob:
            if client.has_blob(target, blob):
                return _Blob.THERE
            if may_lack and not client.has_blob(source, blob):
                return _Blob.ABSENT
            if client.mount_blob(target, blob, source):
                return _Blob.MOUNTED
            return _Blob.REFUSED if client.has_blob(source, blob) else _Blob.ABSENT

        return call

    def _put(self, reference: TagName | Digest, manifest: FetchedManifest) -> bool:
        """Push a manifest unless the target has it; return whether it was pushed."""
        if self.stands_for(self.target, reference) == manifest.digest:
            return False
        return self._push(reference, manifest)

    def _push(self, reference: TagName | Digest, manifest: FetchedManifest) -> bool:
        """Push a manifest and verify it at the target; return True.

        Raises:
            CopyRefused: the registry does not accept it, or does not have it afterward.
        """
        for pause in PAUSES:
            try:
                what = (manifest.body, manifest.media_type)
                self._client.put_manifest(self.target, reference, *what)
                break
            except PartsMissing:
                self._there.clear()
                self._whole.clear()
                if self._record is not None:
                    self._record.clear()
                time.sleep(pause)
            except Schema1Refused as refused:
                raise CopyRefused(str(refused)) from None
        else:
            raise CopyRefused(
                "the registry does not take it: parts of it are missing at the source, or illegible"
            )
        if self.stands_for(self.target, reference) != manifest.digest:
            raise CopyRefused(f"the registry does not have {manifest.digest[:19]}… after the copy")
        return True


def _require_bounds(depth: int, parts: int) -> None:
    if depth > MAX_DEPTH or parts > MAX_MANIFESTS:
        raise CopyRefused(f"it has more than {MAX_MANIFESTS} parts, or is nested too deep")
