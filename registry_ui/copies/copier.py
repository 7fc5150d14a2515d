"""Copy a manifest and its blobs to a different repository by cross-repository mounts.

No blob data passes through this process. Each manifest and blob is looked up at the target first,
so a copy can be repeated at any time: existing parts are left unchanged, and an interrupted copy
resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from itertools import chain
from typing import Protocol

from ..batches import split_into_batches
from ..distribution.client import FetchedManifest
from ..distribution.errors import (
    PartsMissing,
    RegistryFault,
    RegistryNotFound,
    RegistryUnavailable,
    Schema1Refused,
)
from ..distribution.media_types import INDEX_TYPES
from ..distribution.references import References, references_of
from ..manifests.batch_calls import call_all
from ..names import Digest, RepositoryName, TagName
from ..registry_connection import registry

#: Number of blobs that are mounted in one batch, and the timeout of a batch in seconds. A worker
#: renews its lease before each batch.
BATCH_SIZE, BATCH_TIMEOUT = 32, 20.0
#: Maximum number of manifests in one image or OCI index, and maximum nesting depth of indexes; an
#: image beyond these limits is considered an attack.
MAX_MANIFESTS, MAX_DEPTH = 2000, 8
#: Seconds to pause after each failed attempt to push a manifest. Distribution 2.8 can fail to find
#: a blob whose link file a concurrent push is rewriting (docs/protocols.md, "Found since").
PAUSES = (0.1, 0.3, 0.0)
#: Content of the blob that is uploaded to test whether the registry can store anything.
PROBE = b"registry_ui: can anything be stored here?\n"
NO_MOUNTS = "the registry does not mount blobs from one repository in another"


class CopyRefused(Exception):
    """A manifest cannot be copied; the message gives the reason for the report."""


class MountsRefused(CopyRefused):
    """The registry does not support mounting blobs between repositories, so nothing is copied."""


class TagKept(Exception):
    """A tag of the target must be left unchanged; the message gives the reason for the report."""


class CopyRecord(Protocol):
    """Persistent record of the manifests that the target has completely, with all their parts."""

    def find(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a manifest and its descendants; None if not recorded."""

    def add(self, digest: str, manifests: tuple[str, ...]) -> None:
        """Record a manifest; ``manifests`` are the digests of itself and all its descendants."""

    def clear(self) -> None:
        """Delete all records, because the target turned out to lack parts of some manifest."""


class _MountResult(Enum):
    """The result of copying one blob."""

    EXISTS, MOUNTED, MISSING, REFUSED = auto(), auto(), auto(), auto()


@dataclass(slots=True)
class CopyResult:
    """The result of copying one manifest, which the target has now, verified by its digest.

    Attributes:
        top: the manifest itself.
        manifests: digests of the manifest and of all its descendants, children first.
        missing: digests of its manifests and blobs that the source does not have.
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
    """Intermediate result of copying one manifest; the fields have the meaning of CopyResult's."""

    manifests: dict[str, None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    written: int = 0


class Copier:
    """Copier of manifests from one repository of the registry to another.

    The caller must have checked the permissions to pull from the source and push to the target.

    Args:
        source: the repository to copy from.
        target: the repository to copy to.
        renew: called before every few requests to the registry, for example to renew the worker's
            lease; an exception from ``renew`` ends the copy.
        record: record of manifests that an earlier worker copied and that are not checked again;
            None to check every manifest.
    """

    def __init__(
        self,
        source: RepositoryName,
        target: RepositoryName,
        renew: Callable[[], None],
        record: CopyRecord | None = None,
    ) -> None:
        self.source, self.target, self.renew = source, target, renew
        self._record = record
        self._client = registry()
        #: Blobs that the target is known to have.
        self._existing_blobs: set[str] = set()
        #: Manifests that the target is known to have completely, each mapped to the digests of its
        #: descendants and itself. The cache saves much work, because, for example, a thousand
        #: referrers can share the same thousand children.
        self._complete: dict[str, tuple[str, ...]] = {}

    def copy_manifest(self, digest: str, name: TagName | None = None) -> CopyResult:
        """Copy a manifest with all its descendants, unless the target has them already.

        An index whose children are partly missing at the source is copied without the missing
        children, if the registry accepts such an index.

        Args:
            digest: the digest of the manifest at the source.
            name: a tag of the target that does not point to the manifest yet, or None. The
                manifest is then pushed only by this tag, because a push by tag also stores the
                manifest by digest.

        Raises:
            CopyRefused: the manifest cannot be copied, or the registry did not accept it.
            RegistryNotFound: the source does not have the manifest.
            RegistryError: the registry cannot be reached.
        """
        progress = _CopyProgress()
        manifest = self._copy_tree(Digest(digest), progress, 0, name)
        if manifest is None:
            raise RegistryNotFound(f"{self.source} does not have {digest[:19]}…")
        return CopyResult(
            manifest, tuple(progress.manifests), tuple(progress.missing), progress.written
        )

    def tag(self, name: TagName, manifest: FetchedManifest) -> bool:
        """Point a tag of the target to a manifest, by pushing the manifest under this tag.

        Returns:
            Whether the tag was changed; False if it already pointed to the manifest.

        Raises:
            CopyRefused: the registry did not accept the manifest, or the tag does not point to the
                manifest after the push.
            RegistryError: the registry cannot be reached or refuses the request.
        """
        return self._push_if_absent(name, manifest)

    def current_digest(self, repository: RepositoryName, reference: TagName | Digest) -> str | None:
        """Return the current digest of a tag or manifest; None if the registry does not have it."""
        try:
            return self._client.head(repository, reference)
        except RegistryNotFound:
            return None

    def require_storage(self) -> None:
        """Raise RegistryError unless the registry can store a blob in the target repository.

        This distinguishes a registry with a full disk, which answers 500 to every push, from a
        registry that fails for a single image.
        """
        try:
            self._client.put_blob(self.target, PROBE)
        except RegistryFault as error:
            raise RegistryUnavailable(str(error)) from None

    def _copy_tree(
        self, digest: Digest, progress: _CopyProgress, depth: int, name: TagName | None = None
    ) -> FetchedManifest | None:
        """Copy the parts of a manifest, and then the manifest itself.

        Args:
            depth: nesting depth; 0 for the manifest that copy_manifest() was called with.
            name: as for copy_manifest().

        Returns:
            The manifest, or None if the source does not have it.
        """
        _require_bounds(depth, len(progress.manifests) + 1)
        self.renew()
        try:
            manifest = self._client.manifest(self.source, digest)
        except RegistryNotFound:
            return None
        if self._record is not None and (copied := self._find_complete(str(digest))) is not None:
            progress.manifests |= dict.fromkeys(copied)
            if name is not None:
                self._push(name, manifest)
            return manifest
        references = references_of(manifest.media_type, manifest.body)
        self._copy_parts(manifest, references, progress, depth)
        if name is not None or self.current_digest(self.target, digest) != manifest.digest:
            copy_parts = partial(self._copy_parts, manifest, references, _CopyProgress(), depth)
            progress.written += self._push(name or digest, manifest, copy_parts)
        progress.manifests[str(digest)] = None
        self._record_complete(str(digest), references)
        return manifest

    def _copy_parts(
        self, manifest: FetchedManifest, references: References, progress: _CopyProgress, depth: int
    ) -> None:
        """Copy the children of a manifest, and mount its blobs."""
        for child in references.children:
            if not self._copy_child(child, progress, depth + 1):
                progress.missing.append(child)
        for blob in self._mount_blobs(references.blobs, references.foreign, progress):
            # An index can list a manifest with the media type of a blob, or without a media type.
            is_index = manifest.media_type in INDEX_TYPES
            if not (is_index and self._copy_child(blob, progress, depth + 1)):
                progress.missing.append(blob)

    def _copy_child(self, child: str, progress: _CopyProgress, depth: int) -> bool:
        """Copy an entry of an index.

        An index can list a blob with the media type of a manifest. Distribution 2.8 accepts such an
        index, and answers 500 if the blob is requested as a manifest.

        Returns:
            False if the source does not have the entry, and ``progress.missing`` lacks it, too.
        """
        if child in progress.manifests or child in progress.missing:
            return True  # It was processed already.
        if (copied := self._find_complete(child)) is not None:
            progress.manifests |= dict.fromkeys(copied)
            _require_bounds(depth, len(progress.manifests))
            return True
        try:
            return self._copy_tree(Digest(child), progress, depth) is not None
        except RegistryFault:
            if not self._client.has_blob(self.source, Digest(child)):
                raise
            return not self._mount_blobs([child], (), progress)

    def _record_complete(self, digest: str, references: References) -> None:
        subtrees = [self._complete.get(child) for child in references.children]
        if None not in subtrees and self._existing_blobs.issuperset(references.blobs):
            manifests = tuple(dict.fromkeys((*chain(*filter(None, subtrees)), digest)))
            self._complete[digest] = manifests
            if self._record is not None:
                self._record.add(digest, manifests)

    def _find_complete(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a manifest and its descendants, if the target has all of them.

        None if the manifest is not known to be complete at the target.
        """
        if digest not in self._complete and self._record is not None:
            recorded = self._record.find(digest)
            if recorded is not None:
                self._complete[digest] = recorded
        return self._complete.get(digest)

    def _mount_blobs(
        self, blobs: Iterable[str], optional: Collection[str], progress: _CopyProgress
    ) -> list[str]:
        """Mount blobs that the target does not have yet.

        Args:
            blobs: digests of the blobs.
            optional: digests of blobs that the registry can lack, such as foreign layers.
            progress: the progress of the copy, whose ``written`` counts the mounted blobs.

        Returns:
            Digests of the blobs that are not optional and that the source does not have.

        Raises:
            MountsRefused: the registry does not mount blobs.
            RegistryError: the registry cannot be reached.
        """
        to_mount = [blob for blob in blobs if blob not in self._existing_blobs]
        missing: list[str] = []
        for batch in split_into_batches(to_mount, BATCH_SIZE):
            self.renew()
            calls = {
                blob: self._make_mount_call(Digest(blob), is_optional=blob in optional)
                for blob in batch
            }
            results = call_all(calls, time.monotonic() + BATCH_TIMEOUT)
            for problem in results.problems.values():
                raise problem
            for blob, outcome in results.answers.items():
                if outcome is _MountResult.REFUSED:
                    raise MountsRefused(NO_MOUNTS)
                if outcome is not _MountResult.MISSING:
                    self._existing_blobs.add(blob)
                elif blob not in optional:
                    missing.append(blob)
                progress.written += outcome is _MountResult.MOUNTED
        return missing

    def _make_mount_call(self, blob: Digest, *, is_optional: bool) -> Callable[[], _MountResult]:
        """Return a function for a worker thread that mounts one blob if the target lacks it.

        Args:
            blob: the digest of the blob.
            is_optional: whether the registry can lack the blob. If so, the function checks the
                source before it tries to mount the blob.
        """
        client, source, target = self._client, self.source, self.target

        def call() -> _MountResult:
            if client.has_blob(target, blob):
                return _MountResult.EXISTS
            if is_optional and not client.has_blob(source, blob):
                return _MountResult.MISSING
            if client.mount_blob(target, blob, source):
                return _MountResult.MOUNTED
            return _MountResult.REFUSED if client.has_blob(source, blob) else _MountResult.MISSING

        return call

    def _push_if_absent(self, reference: TagName | Digest, manifest: FetchedManifest) -> bool:
        """Push a manifest unless the target already has it; return whether it was pushed."""
        if self.current_digest(self.target, reference) == manifest.digest:
            return False
        return self._push(reference, manifest)

    def _push(
        self,
        reference: TagName | Digest,
        manifest: FetchedManifest,
        copy_parts: Callable[[], None] | None = None,
    ) -> bool:
        """Push a manifest to the target, and verify that the target has it; return True.

        Args:
            reference: the tag or digest to push the manifest by.
            copy_parts: function that copies the parts of the manifest again. It is called once if
                the registry lacks a part, which it can have lost since this copier found it there.

        Raises:
            CopyRefused: the registry does not accept the manifest, or does not have it afterward.
        """
        for pause in PAUSES:
            try:
                self._client.put_manifest(
                    self.target, reference, manifest.body, manifest.media_type
                )
                break
            except PartsMissing:
                self._existing_blobs.clear()
                self._complete.clear()
                if self._record is not None:
                    self._record.clear()
                time.sleep(pause)
                if copy_parts is not None:
                    copy_parts()
                    copy_parts = None
            except Schema1Refused as error:
                raise CopyRefused(str(error)) from None
        else:
            raise CopyRefused(
                "the registry does not take it: parts of it are missing at the source, or illegible"
            )
        if self.current_digest(self.target, reference) != manifest.digest:
            raise CopyRefused(f"the registry does not have {manifest.digest[:19]}… after the copy")
        return True


def _require_bounds(depth: int, manifests: int) -> None:
    if depth > MAX_DEPTH or manifests > MAX_MANIFESTS:
        raise CopyRefused(f"it has more than {MAX_MANIFESTS} parts, or is nested too deep")
