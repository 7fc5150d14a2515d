"""One row of a tag list, and the functions that fill it.

A row combines the tag's database row, the stored manifest, and the tag's digest tags: tags of
signatures and SBOMs, whose names contain the digest of their subject (``sha256-<hex>.sig``).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from ..catalog.live_tags import DAMAGES
from ..distribution.manifest import Descriptor, ManifestFacts
from ..manifests.store import facts_of
from ..models import Manifest, Tag
from ..names import DIGEST_TAG_ALGORITHMS, subject_of
from .enforcement import TagProtection

#: Label for an entry of an OCI index that names no platform.
NO_PLATFORM = "no platform named"
_SBOM = re.compile(r"spdx|cyclonedx", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlatformSize:
    """A platform of an index, and its size in bytes; None if the size is unknown."""

    label: str
    size: int | None


@dataclass(slots=True)
class TagRow:
    """One row of a list of tags. Unknown values are None.

    ``platforms`` are the label and the size of each platform of an OCI index. Sizes are in bytes.
    ``same_as`` are the image's other tags with the same digest, ``folded`` the digest tags that are
    shown with this tag. ``is_orphan`` is True for a digest tag whose subject no tag refers to.
    ``problem`` is the error message if fetching the tag's manifest failed, or None.
    """

    name: str
    digest: str | None
    kind: str = "unknown"
    platforms: list[PlatformSize] = field(default_factory=list)
    size: int | None = None
    built_at: datetime | None = None
    pushed_at: datetime | None = None
    pushed_by: str | None = None
    pull_count: int = 0
    last_pulled_at: datetime | None = None
    same_as: list[str] = field(default_factory=list)
    signed: bool = False
    has_sbom: bool = False
    folded: list[str] = field(default_factory=list)
    is_orphan: bool = False
    problem: str | None = None
    #: User-visible reason why the registry can't read the tag; "" if it can.
    damage: str = ""
    damaged_since: datetime | None = None
    #: Whether a user removed the tag, but the registry still lists it.
    is_leftover: bool = False
    pull_command: str = ""
    protection: TagProtection | None = None

    @classmethod
    def of(cls, tag: Tag) -> Self:
        """Return a row with the data from a tag's database row; all other fields are unset."""
        return cls(
            name=tag.name,
            digest=tag.digest,
            pushed_at=tag.pushed_at,
            pushed_by=tag.pushed_by,
            pull_count=tag.pull_count,
            last_pulled_at=tag.last_pulled_at,
            damage=DAMAGES.get(tag.damage or "", ""),
            damaged_since=tag.damaged_since,
            is_leftover=tag.damage == "removed",
        )


def group_attached_tags(
    names: Iterable[str], digests: Collection[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Separate an image's digest tags, such as ``sha256-<hex>.sig``, from its ordinary tags.

    A digest tag whose subject no tag refers to counts as an ordinary tag (PROTOCOLS 4.4).

    Args:
        names: all tags of an image.
        digests: the digests that tags refer to, from queries.subjects().

    Returns:
        The digest tags by the digest of their subject, and the ordinary tags.
    """
    digest_tags: dict[str, list[str]] = defaultdict(list)
    if not digests:
        return digest_tags, list(names)
    ordinary_tags = []
    for name in names:
        subject = subject_of(name)
        if subject is not None and subject in digests:
            digest_tags[subject].append(name)
        else:
            ordinary_tags.append(name)
    return digest_tags, ordinary_tags


def has_digest_tags(names: Iterable[str]) -> bool:
    """Return whether any of the tags has the prefix of digest tags, such as ``sha256-``."""
    return any(name.startswith(DIGEST_TAG_ALGORITHMS) for name in names)


def pull_command(kind: str, repository: str, tag: str) -> str:
    """Return the command that pulls a tag with the usual client for its kind of manifest.

    Args:
        kind: the kind of manifest, such as ``image`` or ``chart``.
        repository: the repository, preceded by the registry's host name.
        tag: the name of the tag.
    """
    if kind == "chart":
        # Helm replaces the + of a version by _ in the tag (PROTOCOLS 4.4).
        return f"helm pull oci://{repository} --version {tag.replace('_', '+')}"
    if is_for_oras(kind):
        return f"oras pull {repository}:{tag}"
    if kind == "build cache":
        return f"docker buildx build --cache-from type=registry,ref={repository}:{tag} ."
    return f"docker pull {repository}:{tag}"


def is_for_oras(kind: str) -> bool:
    """Return whether manifests of this kind are pulled with oras, the client for artifacts."""
    return kind in {"artifact", "signature", "attestation"}


def label_platforms(children: Iterable[Descriptor]) -> list[str]:
    """Return a label for each child of an OCI index, usually its platform.

    If children with different digests have the same platform, a part of the digest is appended.
    """
    labels = [(child.platform or NO_PLATFORM, child.digest) for child in children]
    counts = Counter(label for label, _ in set(labels))
    return [
        label if counts[label] == 1 else f"{label} ({digest[7:19]})" for label, digest in labels
    ]


def add_manifest_info(
    row: TagRow, manifest: Manifest | None, children: dict[str, Manifest]
) -> None:
    """Add the kind, size, build time, and platforms of a stored manifest to a row of a tag list.

    Args:
        row: the row to change.
        manifest: the tag's manifest; None if it is not stored, so that the row stays unchanged.
        children: stored manifests of the platforms of an OCI index, by digest.
    """
    if manifest is None:
        return
    row.kind, row.size, row.built_at = manifest.kind, manifest.size, manifest.built_at
    if manifest.kind != "index":
        return
    platforms = facts_of(manifest).platforms
    build_times = [children[c.digest].built_at for c in platforms if c.digest in children]
    row.built_at = row.built_at or min(filter(None, build_times), default=None)
    for child, label in zip(platforms, label_platforms(platforms), strict=True):
        child_manifest = children.get(child.digest)
        row.platforms.append(PlatformSize(label, child_manifest.size if child_manifest else None))
    # A pull downloads only one platform, so the size is that of the largest one.
    row.size = max((p.size for p in row.platforms if p.size is not None), default=None)


def add_attachment_flags(
    row: TagRow, attached_digests: Mapping[str, str | None], manifests: Mapping[str, Manifest]
) -> None:
    """Set ``signed`` and ``has_sbom`` of a row: whether the tag has a signature and an SBOM.

    Signatures and SBOMs are recognized by the names of cosign's tags, in the index of referrers
    that clients push to a registry without the referrers API, and in the attestations that buildx
    adds to the OCI index of an image (PROTOCOLS 4.4).

    Args:
        row: the row to change.
        attached_digests: the digest tags shown with the tag, each with the digest that it points
            to.
        manifests: stored manifests by digest, including children of OCI indexes.
    """
    row.signed = any(name.endswith(".sig") for name in attached_digests)
    row.has_sbom = any(name.endswith(".sbom") for name in attached_digests)
    manifest = manifests.get(row.digest or "")
    attached_manifests = [
        manifests[d] for d in attached_digests.values() if d is not None and d in manifests
    ]
    referrers = [
        facts_of(referrer)
        for referrer in (*attached_manifests, *_iterate_children(attached_manifests, manifests))
    ]
    row.signed |= any(facts.kind == "signature" for facts in referrers)
    referrers += [
        facts_of(child) for child in _iterate_children([manifest] if manifest else [], manifests)
    ]
    row.has_sbom |= any(map(_has_packages, referrers))


def _iterate_children(
    indexes: Iterable[Manifest], manifests: Mapping[str, Manifest]
) -> Iterator[Manifest]:
    for index in indexes:
        for child in facts_of(index).children if index.kind == "index" else ():
            if child.digest in manifests:
                yield manifests[child.digest]


def _has_packages(facts: ManifestFacts) -> bool:
    """Return whether a manifest is an SBOM, or an attestation that contains one."""
    predicate_types = (layer.predicate_type for layer in facts.layers)
    return any(map(_SBOM.search, (facts.artifact_type, *predicate_types)))
