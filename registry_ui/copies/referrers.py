"""Copy the referrers of copied manifests, such as signatures, recursively (PROTOCOLS 4.4).

They are found through the referrers API, if the registry has it, and through the tags that clients
use instead: the referrers index under the tag ``sha256-<hex>``, and the tags of cosign, such as
``sha256-<hex>.sig``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..distribution.client import FetchedManifest
from ..distribution.errors import RegistryFault, RegistryNotFound
from ..distribution.media_types import INDEX_TYPES
from ..distribution.references import merged_index
from ..names import Digest, TagName, subject_of
from ..registry_connection import registry
from .copier import MAX_MANIFESTS, Copier, CopyRefused, TagKept


@dataclass(slots=True)
class CopiedReferrers:
    """The referrers that were copied along with a manifest.

    Attributes:
        tags: referrer tags that the target has now, with their digests.
        written: the subset of ``tags`` that was pushed.
        kept: tags that have other content at the target and were left unchanged.
        refused: tags that were not copied, each with the reason, such as a protection rule or a
            concurrent push.
        missing: digests that the source does not have.
    """

    tags: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def referring_tags(tags: Iterable[str], digests: Iterable[str]) -> list[str]:
    """Return the tags, sorted, that sign or describe one of these digests."""
    wanted = set(digests)
    return sorted(tag for tag in tags if subject_of(tag) in wanted)


class ReferrerCopier:
    """Copier of the referrers of copied manifests.

    Args:
        copier: the copier between the two repositories.
        tags: all tags of the source, among which referrer tags are found by their names.
        point: called with a tag of the target, the manifest for it, and the digest that the tag had
            when it was read, or None. Points the tag to the manifest; returns False if it already
            was. Raises TagKept if the tag has to stay unchanged. Defaults to Copier.tag().
    """

    def __init__(
        self,
        copier: Copier,
        tags: Iterable[str],
        point: Callable[[TagName, FetchedManifest, str | None], bool] | None = None,
    ) -> None:
        self._copier = copier
        self._point = point or (lambda name, manifest, _there: copier.tag(name, manifest))
        self._tags: dict[str, list[str]] = defaultdict(list)
        for tag in tags:
            if (subject := subject_of(tag)) is not None:
                self._tags[subject].append(tag)
        #: Whether the registry has the referrers API; None until it was asked.
        self.has_api: bool | None = None

    def bring(self, digests: Iterable[str]) -> CopiedReferrers:
        """Copy the referrers of these manifests, their referrers, and so on.

        Raises:
            CopyRefused, RegistryError: as raised by Copier.bring().
        """
        found = CopiedReferrers()
        pending = list(digests)
        seen = set(pending)
        for digest in pending:  # The list grows during the loop.
            more = [*self._by_api(digest, found), *self._by_tags(digest, found)]
            pending += [name for name in dict.fromkeys(more) if name not in seen]
            seen.update(more)
            if len(seen) > MAX_MANIFESTS:
                raise CopyRefused(f"more than {MAX_MANIFESTS} manifests refer to it")
        return found

    def _by_api(self, digest: str, found: CopiedReferrers) -> list[str]:
        if self.has_api is False:
            return []
        self._copier.hold()
        listed = registry().referrers(self._copier.source, Digest(digest))
        self.has_api = listed is not None
        return [name for part in listed or () for name in self._manifests(part, found)]

    def _by_tags(self, digest: str, found: CopiedReferrers) -> list[str]:
        brought: list[str] = []
        for tag in self._tags.get(digest, ()):
            self._copier.hold()
            try:
                part = self._copier.stands_for(self._copier.source, TagName(tag))
            except RegistryFault:
                found.refused.append(f"{tag}: it can't be read")
                continue
            if part is None:
                continue
            brought += self._manifests(part, found)
            manifest = registry().manifest(self._copier.source, Digest(part))
            self._tag(TagName(tag), manifest, found)
        return brought

    def _manifests(self, digest: str, found: CopiedReferrers) -> tuple[str, ...]:
        try:
            brought = self._copier.bring(digest)
        except RegistryNotFound:
            found.missing.append(digest)
            return ()
        found.missing += brought.missing
        return brought.manifests

    def _tag(self, name: TagName, manifest: FetchedManifest, found: CopiedReferrers) -> None:
        """Tag a copied referrer; a referrers index that the target already has is merged."""
        there = self._copier.stands_for(self._copier.target, name)
        if there not in {None, manifest.digest}:
            merged = self._merged(Digest(there or ""), manifest)
            if merged is None:
                found.kept.append(str(name))
                return
            manifest = merged
        try:
            if self._point(name, manifest, there):
                found.written.append(str(name))
        except TagKept as kept:
            found.refused.append(f"{name}: {kept}")
            return
        found.tags[str(name)] = manifest.digest

    def _merged(self, there: Digest, manifest: FetchedManifest) -> FetchedManifest | None:
        """Return the target's referrers index, extended by the entries of the source's.

        None if one of the two is not an index, so they cannot be merged.
        """
        own = registry().manifest(self._copier.target, there)
        if not {own.media_type, manifest.media_type} <= INDEX_TYPES:
            return None
        body = merged_index(own.body, manifest.body)
        if body is None:
            return own
        return FetchedManifest(str(Digest.of(body)), own.media_type, body)
