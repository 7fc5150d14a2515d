"""What signs or describes an image: children of its index, tags by its digest, referrers.

Distribution has no referrers API (PROTOCOLS 4.4), so these are the three places where
clients put such things.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Text, cast, select

from ..db.session import db
from ..distribution.manifest import ManifestFacts
from ..manifests.store import children_of, facts_of, stored_manifests
from ..models import ContainerImage, Manifest, Tag
from ..tags.table import prefetch

SUFFIXES = ("", ".sig", ".att", ".sbom")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A manifest that signs or describes another. ``facts`` are None where it can't be read.

    ``tag`` is the ``sha256-…`` tag under which it was found; "" for a child of the index.
    ``listed`` is how many referrers the index under that tag has; 0 without an index.
    """

    digest: str
    tag: str = ""
    facts: ManifestFacts | None = None
    listed: int = 0


def attachments(
    image: ContainerImage, subjects: Collection[str], index: Manifest | None
) -> list[Attachment]:
    """Return what is attached to manifests of an image.

    Args:
        subjects: digest of the tag, and of the platform that is shown.
        index: the index that holds the platform, if there is one.
    """
    found = list(_beside(image, subjects, index)) if index is not None else []
    return found + _tagged(image, subjects)


def index_around(image: ContainerImage, digest: str) -> Manifest | None:
    """Return an index that a tag of the image stands for and that names this manifest."""
    query = (
        select(Manifest)
        .join(Tag, Tag.digest == Manifest.digest)
        .where(
            Tag.image_id == image.id,
            Manifest.kind == "index",
            cast(Manifest.facts, Text).contains(digest, autoescape=True),
        )
        .limit(1)
    )
    return db.session.scalar(query)


def _beside(
    image: ContainerImage, subjects: Collection[str], index: Manifest
) -> Iterator[Attachment]:
    """Yield the attestations that buildx puts into the index, beside the image."""
    children = children_of(image.path, [index])
    for child in facts_of(index).children:
        if not child.is_attestation:
            continue
        row = children.get(child.digest)
        facts = facts_of(row) if row is not None else None
        if (child.attests or (facts.subject if facts else "")) in subjects:
            yield Attachment(child.digest, "", facts)


def _tagged(image: ContainerImage, subjects: Collection[str]) -> list[Attachment]:
    """Return what the tags named by digest hold; that without a suffix is an index of referrers."""
    names = [digest.replace(":", "-") + suffix for digest in subjects for suffix in SUFFIXES]
    query = select(Tag).where(Tag.image_id == image.id, Tag.name.in_(names)).order_by(Tag.name)
    tags = list(db.session.scalars(query))
    if not tags:
        return []
    prefetch(image, tags)
    rows = stored_manifests(tag.digest for tag in tags if tag.digest)
    referrers = children_of(image.path, rows.values())
    found = []
    for tag in tags:
        row = rows.get(tag.digest or "")
        facts = facts_of(row) if row is not None else None
        if facts is None or facts.kind != "index":
            found.append(Attachment(tag.digest or "", tag.name, facts))
            continue
        for child in facts.children:
            inner = referrers.get(child.digest)
            inner_facts = facts_of(inner) if inner is not None else None
            listed = facts.children_total
            found.append(Attachment(child.digest, tag.name, inner_facts, listed))
    return found
