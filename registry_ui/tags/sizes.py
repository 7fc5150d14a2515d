"""Sizes of images, computed from stored manifests with few queries for any number of images."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, case, func, null, select
from sqlalchemy.orm import Session

from ..catalog.images import attached
from ..db.statements import AnySelect
from ..distribution.manifest import Descriptor
from ..models import ContainerImage, Manifest, RepositoryManifest, Tag

#: Maximum number of digests per query. SQLite allows 32,766 parameters.
BATCH = 10_000

#: An image's id, and the digest that one of its tags points to.
Held = tuple[int, str]


def sizes_of(session: Session, wanted: AnySelect) -> dict[Held, int]:
    """Return the size in bytes of a pull of each manifest; for an index, of its largest platform.

    Unknown sizes are left out. A platform counts only if it was read from the same image, because
    an index can contain any digest.

    Args:
        session: the database session.
        wanted: a query that selects the image's id and the digest.
    """
    named = wanted.subquery()
    image_id, digest = named.columns
    facts = case((Manifest.size.is_(None), Manifest.facts), else_=null())
    query = select(image_id, digest, Manifest.size, facts).join(Manifest, Manifest.digest == digest)
    found: dict[Held, int] = {}
    platforms: dict[Held, list[str]] = {}
    for owner, name, size, index in session.execute(query):
        if size is not None:
            found[owner, name] = size
        else:
            platforms[owner, name] = _platforms(index)
    return found | _largest(session, platforms)


def newest_sizes(session: Session, images: ColumnElement[bool]) -> dict[int, int]:
    """Return the size in bytes of the tag that was pushed last, by image id.

    If no push to an image is known, the tag that was found last is used. Images with unknown
    sizes are left out.

    Args:
        session: the database session.
        images: filter for the container images.
    """
    of_image = (Tag.image_id == ContainerImage.id, ~attached(), Tag.digest.is_not(None))
    pushed = (
        select(Tag.digest)
        .where(*of_image, Tag.pushed_at.is_not(None))
        .order_by(Tag.pushed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = (
        select(Tag.digest)
        .where(*of_image, Tag.pushed_at.is_(None))
        .order_by(Tag.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    newest = select(ContainerImage.id, func.coalesce(pushed, found).label("digest")).where(images)
    return {image_id: size for (image_id, _), size in sizes_of(session, newest).items()}


def _platforms(index: Any) -> list[str]:
    children = [Descriptor(**child) for child in index["children"]]
    return [child.digest for child in children if not child.is_attestation]


def _largest(session: Session, platforms: dict[Held, list[str]]) -> dict[Held, int]:
    """Return the size of the largest platform of each index, if one is known.

    Args:
        session: the database session.
        platforms: digests of the platforms, by the image's id and the digest of the index.
    """
    digests = sorted({digest for children in platforms.values() for digest in children})
    sizes: dict[Held, int] = {}
    for start in range(0, len(digests), BATCH):
        query = (
            select(RepositoryManifest.image_id, Manifest.digest, Manifest.size)
            .join(Manifest, Manifest.digest == RepositoryManifest.digest)
            .where(RepositoryManifest.digest.in_(digests[start : start + BATCH]))
        )
        for image_id, digest, size in session.execute(query):
            if size is not None:
                sizes[image_id, digest] = size
    found = {}
    for (image_id, index), children in platforms.items():
        known = [sizes[image_id, child] for child in children if (image_id, child) in sizes]
        if known:
            found[image_id, index] = max(known)
    return found
