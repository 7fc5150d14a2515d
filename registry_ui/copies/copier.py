"""A manifest with all its parts, brought to another repository by mounts: no data through us.

Everything is looked for at the target first. So it can be done again at any time, and
changes nothing that is there; what broke off is gone on with.
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

#: So many blobs are asked for between two signs of life, and the seconds that they may take.
BATCH, DEADLINE = 32, 20.0
#: More manifests than this below one are no image, but a trap; so is a deeper nesting.
MAX_MANIFESTS, MAX_DEPTH = 2000, 8
#: 2.8 may miss a blob whose link a push beside this one writes again (docs/protocols.md,
#: "Found since"): seconds before each further attempt.
PAUSES = (0.1, 0.3, 0.0)
#: Content of the blob by which it is found out whether the registry stores anything at all.
PROBE = b"registry_ui: can anything be stored here?\n"
NO_MOUNTS = "the registry does not mount blobs from one repository in another"


class CopyRefused(Exception):
    """Something can't be copied; the message says why, for the report."""


class MountsRefused(CopyRefused):
    """The registry mounts no blobs: nothing can be copied at all."""


class TagKept(Exception):
    """A tag of the target stays as it is; the message says why, for the report."""


class CopyRecord(Protocol):
    """A record that outlives the process: manifests that the target holds with all parts."""

    def find(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a recorded manifest and of everything below it, or None."""

    def add(self, digest: str, manifests: tuple[str, ...]) -> None:
        """Record a manifest, with the digests of it and of everything below it."""

    def clear(self) -> None:
        """Forget everything: the target lacks parts of what was recorded."""


class _Blob(Enum):
    """What became of a blob."""

    THERE, MOUNTED, ABSENT, REFUSED = auto(), auto(), auto(), auto()


@dataclass(slots=True)
class CopyResult:
    """A manifest that is at the target now, checked by its digest.

    ``manifests`` are the digests of it and of everything below it, children first;
    ``missing`` what the source does not have; ``written`` how much was new at the target.
    """

    top: FetchedManifest
    manifests: tuple[str, ...]
    missing: tuple[str, ...]
    written: int

    @property
    def digest(self) -> str:
        """The digest of the manifest, the same at both ends."""
        return self.top.digest


@dataclass(slots=True)
class _CopyProgress:
    """What was found of a manifest so far."""

    manifests: dict[str, None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    written: int = 0


class Copier:
    """Copies manifests from one repository of the registry to another.

    Whoever uses it has asked for the right to pull there and to push here.

    Args:
        source: where they are.
        target: where they are wanted.
        hold: called before every few calls to the registry; what it raises ends the copy.
        record: what an earlier worker has copied is not checked again.
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
        #: Blobs that the target was seen to hold.
        self._there: set[str] = set()
        #: Manifests that it was seen to hold with everything below them, and what that is:
        #: a thousand referrers may name the same thousand children.
        self._whole: dict[str, tuple[str, ...]] = {}

    def bring(self, digest: str, name: TagName | None = None) -> CopyResult:
        """Make sure that the target has a manifest of the source with everything below it.

        An index whose children are not all there is taken as far as the registry takes it.

        Args:
            name: a tag of the target that does not stand for the manifest yet. It is pushed by
                that alone: the registry keeps it by its digest, too.

        Raises:
            CopyRefused: it can't be copied, or the registry did not take it.
            RegistryNotFound: the source does not have it.
            RegistryError: the registry can't be asked.
        """
        under = _CopyProgress()
        top = self._bring(Digest(digest), under, 0, name)
        if top is None:
            raise RegistryNotFound(f"{self.source} does not have {digest[:19]}…")
        return CopyResult(top, tuple(under.manifests), tuple(under.missing), under.written)

    def tag(self, name: TagName, manifest: FetchedManifest) -> bool:
        """Point a tag of the target to a manifest; return whether it did not before.

        Raises:
            CopyRefused: the registry does not say afterwards that the tag stands for it.
            RegistryError: the registry did not take it, or can't be asked.
        """
        return self._put(name, manifest)

    def stands_for(self, repository: RepositoryName, reference: TagName | Digest) -> str | None:
        """Return the digest that a reference stands for now; None where there is none."""
        try:
            return self._client.head(repository, reference)
        except RegistryNotFound:
            return None

    def require_storage(self) -> None:
        """Raise RegistryError unless the target stores something: else an image is not at fault.

        A registry whose disk is full answers 500 to the push of any image.
        """
        try:
            self._client.put_blob(self.target, PROBE)
        except RegistryFault as error:
            raise RegistryUnavailable(str(error)) from None

    def _bring(
        self, digest: Digest, under: _CopyProgress, depth: int, name: TagName | None = None
    ) -> FetchedManifest | None:
        """Bring a manifest after its parts; None where the source does not have it."""
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
            # An index may give a manifest the type of a blob, or none.
            is_index = manifest.media_type in INDEX_TYPES
            if not (is_index and self._bring_child(part, under, depth + 1)):
                under.missing.append(part)
        under.written += self._put(digest, manifest) if name is None else self._push(name, manifest)
        under.manifests[str(digest)] = None
        self._note_whole(str(digest), references)
        return manifest

    def _bring_child(self, child: str, under: _CopyProgress, depth: int) -> bool:
        """Bring an entry of an index; return whether the source has it.

        An index may give a blob the type of a manifest: 2.8 takes it, and answers 500 for it.
        """
        if child in under.manifests or child in under.missing:
            return True  # noted already
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
        """Return a manifest that the target holds with everything below it, and what that is."""
        if digest not in self._whole and self._record is not None:
            recorded = self._record.find(digest)
            if recorded is not None:
                self._whole[digest] = recorded
        return self._whole.get(digest)

    def _mount(
        self, blobs: Iterable[str], elsewhere: Collection[str], under: _CopyProgress
    ) -> list[str]:
        """Make the target hold blobs; return those that the source lacks and should have."""
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
        """Return the calls that make the target hold a blob, to be made in a thread.

        Args:
            may_lack: it need not be in the registry, so the source is asked first.
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
        """Push a manifest where it is not yet; return whether it was not."""
        if self.stands_for(self.target, reference) == manifest.digest:
            return False
        return self._push(reference, manifest)

    def _push(self, reference: TagName | Digest, manifest: FetchedManifest) -> bool:
        """Push a manifest, and ask whether the registry has it; return True."""
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
