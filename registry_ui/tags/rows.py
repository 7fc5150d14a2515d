"""What is said of one tag: by the index, the store of facts, and the tags that speak of it."""

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

#: The label of a child of an index that names no platform.
NO_PLATFORM = "no platform named"
_SBOM = re.compile(r"spdx|cyclonedx", re.IGNORECASE)


@dataclass(slots=True)
class TagRow:
    """One row of a list of tags. What is not known is None."""

    name: str
    digest: str | None
    kind: str = "unknown"
    platforms: list[tuple[str, int | None]] = field(default_factory=list)
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
    #: Why the registry can't read it; "" if it can.
    damage: str = ""
    damaged_since: datetime | None = None
    #: It was removed already, and is only still listed.
    is_leftover: bool = False
    pull_command: str = ""
    protection: TagProtection | None = None

    @classmethod
    def of(cls, tag: Tag) -> Self:
        """Begin a row with what the index says of a tag."""
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
    """Part the tags that sign or describe a digest from those that people look for.

    A ``sha256-…`` tag whose subject no tag reaches stays among the others (PROTOCOLS 4.4).

    Args:
        names: all tags of an image.
        digests: what they reach, as tag_names.subjects() says.

    Returns:
        Names by the digest they speak of, and all other tags.
    """
    folded: dict[str, list[str]] = defaultdict(list)
    if not digests:
        return folded, list(names)
    shown = []
    for name in names:
        subject = subject_of(name)
        if subject is not None and subject in digests:
            folded[subject].append(name)
        else:
            shown.append(name)
    return folded, shown


def has_digest_tags(names: Iterable[str]) -> bool:
    """Whether any of these tags may speak of a digest, by how they begin."""
    return any(name.startswith(DIGEST_TAG_ALGORITHMS) for name in names)


def pull_command(kind: str, repository: str, tag: str) -> str:
    """Return the command that pulls a tag, by the client that can."""
    if kind == "chart":
        # Helm writes the + of a version as _ in the tag (PROTOCOLS 4.4).
        return f"helm pull oci://{repository} --version {tag.replace('_', '+')}"
    if is_for_oras(kind):
        return f"oras pull {repository}:{tag}"
    if kind == "build cache":
        return f"docker buildx build --cache-from type=registry,ref={repository}:{tag} ."
    return f"docker pull {repository}:{tag}"


def is_for_oras(kind: str) -> bool:
    """Whether only a client for artifacts can pull it."""
    return kind in {"artifact", "signature", "attestation"}


def label_platforms(children: Iterable[Descriptor]) -> list[str]:
    """Return a label for each child of an index; those of different digests differ."""
    named = [(child.platform or NO_PLATFORM, child.digest) for child in children]
    counts = Counter(label for label, _ in set(named))
    return [label if counts[label] == 1 else f"{label} ({digest[7:19]})" for label, digest in named]


def add_manifest_info(
    row: TagRow, manifest: Manifest | None, children: dict[str, Manifest]
) -> None:
    """Add what the store knows of a manifest to a row."""
    if manifest is None:
        return
    row.kind, row.size, row.built_at = manifest.kind, manifest.size, manifest.built_at
    if manifest.kind != "index":
        return
    platforms = facts_of(manifest).platforms
    built = [children[c.digest].built_at for c in platforms if c.digest in children]
    row.built_at = row.built_at or min(filter(None, built), default=None)
    for child, label in zip(platforms, label_platforms(platforms), strict=True):
        known_child = children.get(child.digest)
        row.platforms.append((label, known_child.size if known_child else None))
    # One pull brings one platform.
    row.size = max((size for _, size in row.platforms if size is not None), default=None)


def add_attachment_flags(
    row: TagRow, attached: Mapping[str, str | None], manifests: Mapping[str, Manifest]
) -> None:
    """Say whether a tag has a signature and an SBOM, by all that speaks of its digest.

    That is cosign's tags, by their names, the index of referrers that a registry without
    their API is given, and what buildx adds to the index itself (PROTOCOLS 4.4).

    Args:
        attached: the tags that are folded under it, with what they stand for.
        manifests: facts by digest, those of indexes' children among them.
    """
    row.signed = any(name.endswith(".sig") for name in attached)
    row.has_sbom = any(name.endswith(".sbom") for name in attached)
    own = manifests.get(row.digest or "")
    speaking = [manifests[d] for d in attached.values() if d is not None and d in manifests]
    referrers = [facts_of(each) for each in (*speaking, *_children(speaking, manifests))]
    row.signed |= any(facts.kind == "signature" for facts in referrers)
    referrers += [facts_of(child) for child in _children([own] if own else [], manifests)]
    row.has_sbom |= any(map(_lists_packages, referrers))


def _children(indexes: Iterable[Manifest], manifests: Mapping[str, Manifest]) -> Iterator[Manifest]:
    for index in indexes:
        for child in facts_of(index).children if index.kind == "index" else ():
            if child.digest in manifests:
                yield manifests[child.digest]


def _lists_packages(facts: ManifestFacts) -> bool:
    """Whether this is an SBOM, or an attestation that states one."""
    stated = (layer.predicate_type for layer in facts.layers)
    return any(map(_SBOM.search, (facts.artifact_type, *stated)))
