"""What signs or describes a copied manifest goes along, at any remove (PROTOCOLS 4.4).

By the referrers API where the registry has one, and by the tags that clients keep
instead: the list of referrers under ``sha256-<hex>``, and cosign's own beside it.
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
    """What went along with a manifest.

    ``tags`` are those that the target has now, with what they stand for; ``written``
    those of them that it had not. ``kept`` have another content at the target, and
    stay. ``refused`` says why others were not written: by a rule, or for somebody's push.
    ``missing`` are digests that the source does not have.
    """

    tags: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def referring_tags(tags: Iterable[str], digests: Iterable[str]) -> list[str]:
    """Return those of some tags that sign or describe one of these digests."""
    wanted = set(digests)
    return sorted(tag for tag in tags if subject_of(tag) in wanted)


class ReferrerCopier:
    """Brings what refers to copied manifests after them.

    Args:
        copier: between the two repositories.
        tags: every tag of the source.
        point: points a tag of the target to a manifest, if it stands for what is given still;
            returns whether it did not before, and raises Kept where it stays.
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
        #: Whether the registry has the API; not known before it was asked.
        self.has_api: bool | None = None

    def bring(self, digests: Iterable[str]) -> CopiedReferrers:
        """Bring what refers to these manifests, what refers to that, and so on.

        Raises:
            CopyRefused, RegistryError: as Copier.bring().
        """
        found = CopiedReferrers()
        pending = list(digests)
        seen = set(pending)
        for digest in pending:  # grows while it is walked
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
        """Tag what was brought; a list of referrers that the target has already, grows."""
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
        """Return the target's list of referrers with the source's; None where it can't be one."""
        own = registry().manifest(self._copier.target, there)
        if not {own.media_type, manifest.media_type} <= INDEX_TYPES:
            return None
        body = merged_index(own.body, manifest.body)
        if body is None:
            return own
        return FetchedManifest(str(Digest.of(body)), own.media_type, body)
