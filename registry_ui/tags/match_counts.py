"""Numbers of tags that patterns match now.

A form shows the number while the user types a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from ..access import at_or_below
from ..db.session import db
from ..models import ContainerImage, Tag
from ..names import subject_of
from ..patterns.glob import Pattern
from .selection import Criteria, choose

#: Maximum number of tags that are read to count matches, so that a form stays fast.
MAX_COUNTED = 20_000


@dataclass(slots=True)
class MatchCount:
    """Numbers of images and tags below a path that patterns match.

    Attributes:
        images: number of images that match the image pattern and have a tag.
        tags: number of tags of the matching images.
        matching_tags: number of tags of the matching images that match the tag pattern.
        is_complete: whether all tags were counted; False if there are more than MAX_COUNTED.
    """

    images: int = 0
    tags: int = 0
    matching_tags: int = 0
    is_complete: bool = True


def count_matches(
    path: str, images: Pattern, tags: Pattern | None, *, attached: bool = False
) -> MatchCount:
    """Count the tags that patterns match below a namespace or project, with one query.

    Args:
        path: path of the namespace or project.
        images: pattern for image names, relative to ``path``.
        tags: pattern for tags; None to leave ``matching_tags`` at 0.
        attached: whether to count signatures and other digest tags.
    """
    query = (
        select(ContainerImage.path, Tag.name)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(at_or_below(ContainerImage.path, path))
        .limit(MAX_COUNTED + 1)
    )
    # The query has no ORDER BY, because the database would sort a million tags to return a few.
    rows = db.session.execute(query).all()
    counts = MatchCount(is_complete=len(rows) <= MAX_COUNTED)
    is_matching: dict[str, bool] = {}
    for repository, tag in rows[:MAX_COUNTED]:
        if repository not in is_matching:
            is_matching[repository] = images.matches(repository[len(path) + 1 :])
            counts.images += is_matching[repository]
        if is_matching[repository] and (attached or subject_of(tag) is None):
            counts.tags += 1
            counts.matching_tags += tags is not None and tags.matches(tag)
    return counts


def describe_matches(
    path: str, images: Pattern, tags: Pattern | None, *, attached: bool = False
) -> str:
    """Return a sentence for a form that says how many tags patterns match now.

    The arguments are those of count_matches().
    """
    counts = count_matches(path, images, tags, attached=attached)
    total = f"{pluralize(counts.tags, 'tag')} in {pluralize(counts.images, 'image')}"
    limit = "" if counts.is_complete else f" (only {MAX_COUNTED:,} tags were counted)"
    if tags is None:
        return f"Matches {total} now{limit}."
    return f"Matches {counts.matching_tags:,} of {total} now{limit}."


def describe_chosen(image: ContainerImage, criteria: Criteria) -> str:
    """Return a sentence for a form that says how many tags of an image meet criteria now.

    If the image has more than MAX_COUNTED tags, the sentence says that they are not counted yet.
    """
    if image.tag_count > MAX_COUNTED:
        return f"The plan counts the tags: there are more than {MAX_COUNTED:,}."
    return f"Matches {len(choose(image, criteria)):,} of {pluralize(image.tag_count, 'tag')} now."


def pluralize(count: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun in the singular or plural, such as ``1 tag``.

    Args:
        count: the number.
        singular: the noun in the singular.
        plural: the noun in the plural; empty to append an s to the singular.
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
