"""Copy the referrers of copied manifests, such as signatures, recursively (PROTOCOLS 4.4).

Referrers are found through the referrers API, if the registry has this API, and by the names of
referrer tags, which clients use instead: the tag ``sha256-<hex>`` for an index of referrers, and
the tags of cosign, such as ``sha256-<hex>.sig``. The hex digits are the digest of the subject.
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
        tags: referrer tags that the target has now, mapped to their digests.
        written: the subset of ``tags`` that was pushed.
        kept: referrer tags that have different content at the target and were left unchanged.
        refused: referrer tags that were not copied, each as text with the reason, such as a
            protection rule or a concurrent push.
        missing: digests of manifests and blobs that the source does not have.
    """

    tags: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def referring_tags(tags: Iterable[str], digests: Iterable[str]) -> list[str]:
    """Return the referrer tags (signatures, SBOMs ...) of the given digests, sorted by name."""
    subjects = set(digests)
    return sorted(tag for tag in tags if subject_of(tag) in subjects)


class ReferrerCopier:
    """Copier of the referrers of copied manifests.

    Args:
        copier: the copier between the two repositories.
        tags: all tags of the source, among which referrer tags are found by their names.
        point: function that points a tag of the target to a manifest. Its arguments are the tag,
            the manifest, and the digest that the target's tag had when it was read, or None. It
            returns False if the tag already pointed to the manifest, and raises TagKept if the tag
            must stay unchanged. Defaults to Copier.tag().
    """

    def __init__(
        self,
        copier: Copier,
        tags: Iterable[str],
        point: Callable[[TagName, FetchedManifest, str | None], bool] | None = None,
    ) -> None:
        self._copier = copier
        self._point = point or (lambda name, manifest, _old_digest: copier.tag(name, manifest))
        self._tags_by_subject: dict[str, list[str]] = defaultdict(list)
        for tag in tags:
            if (subject := subject_of(tag)) is not None:
                self._tags_by_subject[subject].append(tag)
        #: Whether the registry has the referrers API; None before the first request.
        self.has_api: bool | None = None

    def copy_referrers(self, digests: Iterable[str]) -> CopiedReferrers:
        """Copy the referrers of the given manifests, the referrers of these referrers, and so on.

        Raises:
            CopyRefused: a referrer cannot be copied, or there are more than MAX_MANIFESTS.
            RegistryError: the registry cannot be reached or refuses a request.
        """
        result = CopiedReferrers()
        pending = list(digests)
        visited = set(pending)
        for digest in pending:  # The list grows during the loop.
            referrers = [*self._copy_listed(digest, result), *self._copy_tagged(digest, result)]
            pending += [name for name in dict.fromkeys(referrers) if name not in visited]
            visited.update(referrers)
            if len(visited) > MAX_MANIFESTS:
                raise CopyRefused(f"more than {MAX_MANIFESTS} manifests refer to it")
        return result

    def _copy_listed(self, digest: str, result: CopiedReferrers) -> list[str]:
        if self.has_api is False:
            return []
        self._copier.renew()
        referrers = registry().referrers(self._copier.source, Digest(digest))
        self.has_api = referrers is not None
        return [
            name for referrer in referrers or () for name in self._copy_manifest(referrer, result)
        ]

    def _copy_tagged(self, digest: str, result: CopiedReferrers) -> list[str]:
        digests: list[str] = []
        for tag in self._tags_by_subject.get(digest, ()):
            self._copier.renew()
            try:
                referrer = self._copier.current_digest(self._copier.source, TagName(tag))
            except RegistryFault:
                result.refused.append(f"{tag}: it can't be read")
                continue
            if referrer is None:
                continue
            digests += self._copy_manifest(referrer, result)
            manifest = registry().manifest(self._copier.source, Digest(referrer))
            self._tag_referrer(TagName(tag), manifest, result)
        return digests

    def _copy_manifest(self, digest: str, result: CopiedReferrers) -> tuple[str, ...]:
        try:
            copied = self._copier.copy_manifest(digest)
        except RegistryNotFound:
            result.missing.append(digest)
            return ()
        result.missing += copied.missing
        return copied.manifests

    def _tag_referrer(
        self, name: TagName, manifest: FetchedManifest, result: CopiedReferrers
    ) -> None:
        """Point a referrer tag of the target to a copied referrer, and record the outcome.

        If the tag has a different index of referrers at the target, both indexes are merged.

        Args:
            name: the referrer tag.
            manifest: the copied manifest that the tag points to at the source.
            result: receives the outcome.
        """
        target_digest = self._copier.current_digest(self._copier.target, name)
        if target_digest not in {None, manifest.digest}:
            merged = self._merge_indexes(Digest(target_digest or ""), manifest)
            if merged is None:
                result.kept.append(str(name))
                return
            manifest = merged
        try:
            if self._point(name, manifest, target_digest):
                result.written.append(str(name))
        except TagKept as error:
            result.refused.append(f"{name}: {error}")
            return
        result.tags[str(name)] = manifest.digest

    def _merge_indexes(
        self, target_digest: Digest, manifest: FetchedManifest
    ) -> FetchedManifest | None:
        """Merge two indexes of referrers: append the source's missing entries to the target's.

        Args:
            target_digest: digest of the target's index.
            manifest: the source's index.

        Returns:
            The merged index, or None if one of the two manifests is not an index.
        """
        target_index = registry().manifest(self._copier.target, target_digest)
        if not {target_index.media_type, manifest.media_type} <= INDEX_TYPES:
            return None
        body = merged_index(target_index.body, manifest.body)
        if body is None:
            return target_index
        return FetchedManifest(str(Digest.of(body)), target_index.media_type, body)
