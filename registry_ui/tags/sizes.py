"""Sizes of images, computed from stored manifests with few queries for any number of images."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, case, func, null, select
from sqlalchemy.orm import Session

from ..batches import split_into_batches
from ..catalog.images import attached
from ..db.statements import AnySelect
from ..distribution.manifest import Descriptor
from ..models import ContainerImage, Manifest, RepositoryManifest, Tag

#: Maximum number of digests per query. SQLite allows 32,766 parameters.
BATCH_SIZE = 10_000

#: An image's id, and the digest that one of its tags points to.
ImageDigest = tuple[int, str]


def sizes_of(session: Session, pairs: AnySelect) -> dict[ImageDigest, int]:
    """Return the number of bytes that a pull of each manifest downloads.

    For an OCI index, this is the size of its largest platform. Unknown sizes are left out. A
    platform counts only if it was read from the same image, because an index can contain any
    digest.

    Args:
        session: the database session.
        pairs: a query that selects the id of an image and the digest of a manifest.

    Returns:
        The sizes by the id of the image and the digest.
    """
    subquery = pairs.subquery()
    image_id, digest = subquery.columns
    facts = case((Manifest.size.is_(None), Manifest.facts), else_=null())
    query = select(image_id, digest, Manifest.size, facts).join(Manifest, Manifest.digest == digest)
    sizes: dict[ImageDigest, int] = {}
    platforms: dict[ImageDigest, list[str]] = {}
    for row_image_id, row_digest, size, index_facts in session.execute(query):
        if size is not None:
            sizes[row_image_id, row_digest] = size
        else:
            platforms[row_image_id, row_digest] = _platforms_from_facts(index_facts)
    return sizes | _find_largest(session, platforms)


def newest_sizes(session: Session, images: ColumnElement[bool]) -> dict[int, int]:
    """Return the size in bytes of the tag of each image that was pushed last, by image id.

    If no push to an image is known, the tag that was inserted last into the database is used.
    Images for which the size of this tag is unknown are left out.

    Args:
        session: the database session.
        images: SQL condition for the images.
    """
    of_image = (Tag.image_id == ContainerImage.id, ~attached(), Tag.digest.is_not(None))
    last_pushed = (
        select(Tag.digest)
        .where(*of_image, Tag.pushed_at.is_not(None))
        .order_by(Tag.pushed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    last_found = (
        select(Tag.digest)
        .where(*of_image, Tag.pushed_at.is_(None))
        .order_by(Tag.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    newest = func.coalesce(last_pushed, last_found).label("digest")
    pairs = select(ContainerImage.id, newest).where(images)
    return {image_id: size for (image_id, _), size in sizes_of(session, pairs).items()}


def _platforms_from_facts(facts: Any) -> list[str]:
    children = [Descriptor(**child) for child in facts["children"]]
    return [child.digest for child in children if not child.is_attestation]


def _find_largest(
    session: Session, platforms: dict[ImageDigest, list[str]]
) -> dict[ImageDigest, int]:
    """Return the size in bytes of the largest platform of each OCI index.

    An index for which the size of no platform is known is left out.

    Args:
        session: the database session.
        platforms: digests of the platforms, by the image's id and the digest of the index.
    """
    digests = sorted({digest for children in platforms.values() for digest in children})
    sizes: dict[ImageDigest, int] = {}
    for batch in split_into_batches(digests, BATCH_SIZE):
        query = (
            select(RepositoryManifest.image_id, Manifest.digest, Manifest.size)
            .join(Manifest, Manifest.digest == RepositoryManifest.digest)
            .where(RepositoryManifest.digest.in_(batch))
        )
        for image_id, digest, size in session.execute(query):
            if size is not None:
                sizes[image_id, digest] = size
    largest = {}
    for (image_id, index), children in platforms.items():
        known_sizes = [sizes[image_id, child] for child in children if (image_id, child) in sizes]
        if known_sizes:
            largest[image_id, index] = max(known_sizes)
    return largest
