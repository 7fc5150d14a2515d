"""Tags of an image that are offered for a comparison with a given tag or digest."""

from __future__ import annotations

from sqlalchemy import select

from ..catalog.images import attached
from ..db.session import db
from ..models import ContainerImage, Tag
from ..names import Reference

#: Maximum number of tags that are offered for a comparison.
MAX_CANDIDATES = 40


def candidate_tags(image: ContainerImage, reference: Reference) -> list[tuple[str, bool]]:
    """Return the tags of an image that can be compared with a reference, latest push first.

    The tag of the reference itself is left out, and so are signatures and other referrer tags.

    Returns:
        The name of each tag, and whether the tag has the same digest as the reference.
    """
    stored = select(Tag.digest).where(Tag.image_id == image.id, Tag.name == str(reference.tag))
    digest = str(reference.digest) if reference.digest else db.session.scalar(stored)
    query = (
        select(Tag.name, Tag.digest)
        .where(Tag.image_id == image.id, Tag.name != str(reference.tag), ~attached())
        .order_by(Tag.pushed_at.desc().nulls_last(), Tag.id.desc())
        .limit(MAX_CANDIDATES)
    )
    return [
        (row.name, digest is not None and row.digest == digest) for row in db.session.execute(query)
    ]
