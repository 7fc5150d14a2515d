"""Attachments of an image: signatures, attestations, SBOMs, and other referrers.

Distribution has no referrers API (PROTOCOLS 4.4), so clients store attachments in three places:
as children of the image's OCI index, under tags derived from the image's digest
(``sha256-….sig``), and in an OCI index of referrers under the tag ``sha256-…``.
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
    """A manifest that signs or describes a manifest of an image.

    ``facts`` is None if the attachment is not in the database. ``tag`` is the ``sha256-…`` tag
    under which it was found, or "" for a child of the image's OCI index. ``referrer_count`` is the
    number of referrers in the OCI index under that tag, or 0 if there is no such index.
    """

    digest: str
    tag: str = ""
    facts: ManifestFacts | None = None
    referrer_count: int = 0


def attachments(
    image: ContainerImage, subjects: Collection[str], index: Manifest | None
) -> list[Attachment]:
    """Return the attachments of some manifests of an image.

    Args:
        image: the image, whose repository contains the manifests.
        subjects: digests of the manifests: that of the tag, and that of the chosen platform.
        index: the OCI index that lists the manifest of the chosen platform, or None.
    """
    children = list(_find_in_index(image, subjects, index)) if index is not None else []
    return children + _find_tagged(image, subjects)


def index_around(image: ContainerImage, digest: str) -> Manifest | None:
    """Return an OCI index that a tag of the image points to and that lists a digest, or None."""
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


def _find_in_index(
    image: ContainerImage, subjects: Collection[str], index: Manifest
) -> Iterator[Attachment]:
    """Yield the attestations of the subjects that buildx stored as children of the OCI index."""
    children = children_of(image.path, [index])
    for child in facts_of(index).children:
        if not child.is_attestation:
            continue
        row = children.get(child.digest)
        facts = facts_of(row) if row is not None else None
        if (child.attests or (facts.subject if facts else "")) in subjects:
            yield Attachment(child.digest, "", facts)


def _find_tagged(image: ContainerImage, subjects: Collection[str]) -> list[Attachment]:
    """Return the attachments under tags derived from the digests of the subjects.

    An OCI index, usually under a tag without a suffix, lists referrers; its children are returned.
    """
    names = [digest.replace(":", "-") + suffix for digest in subjects for suffix in SUFFIXES]
    query = select(Tag).where(Tag.image_id == image.id, Tag.name.in_(names)).order_by(Tag.name)
    tags = list(db.session.scalars(query))
    if not tags:
        return []
    prefetch(image, tags)
    rows = stored_manifests(tag.digest for tag in tags if tag.digest)
    referrers = children_of(image.path, rows.values())
    matches = []
    for tag in tags:
        row = rows.get(tag.digest or "")
        facts = facts_of(row) if row is not None else None
        if facts is None or facts.kind != "index":
            matches.append(Attachment(tag.digest or "", tag.name, facts))
            continue
        for child in facts.children:
            child_row = referrers.get(child.digest)
            child_facts = facts_of(child_row) if child_row is not None else None
            referrer_count = facts.children_total
            matches.append(Attachment(child.digest, tag.name, child_facts, referrer_count))
    return matches
