"""How many tags below a path patterns match now: for forms, while somebody types."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from ..access import at_or_below
from ..db.session import db
from ..models import ContainerImage, Tag
from ..names import subject_of
from ..patterns.glob import Pattern
from .selection import Criteria, choose

#: Maximum number of tags that are read to count matches.
MAX_COUNTED = 20_000


@dataclass(slots=True)
class MatchCount:
    """What patterns match among the tags below a path.

    Attributes:
        images: how many images match the pattern of images and have a tag.
        tags: how many tags these images have.
        named: how many of those tags match the pattern of tags.
        is_complete: whether every tag was read.
    """

    images: int = 0
    tags: int = 0
    named: int = 0
    is_complete: bool = True


def count_matches(
    path: str, images: Pattern, tags: Pattern | None, *, attached: bool = False
) -> MatchCount:
    """Count what the patterns match below a namespace or project, by one query.

    Args:
        attached: count signatures and the like, too.
    """
    query = (
        select(ContainerImage.path, Tag.name)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(at_or_below(ContainerImage.path, path))
        .limit(MAX_COUNTED + 1)
    )
    # In no order: a million tags would be sorted to read a few of them.
    rows = db.session.execute(query).all()
    found = MatchCount(is_complete=len(rows) <= MAX_COUNTED)
    is_matching: dict[str, bool] = {}
    for repository, tag in rows[:MAX_COUNTED]:
        if repository not in is_matching:
            is_matching[repository] = images.matches(repository[len(path) + 1 :])
            found.images += is_matching[repository]
        if is_matching[repository] and (attached or subject_of(tag) is None):
            found.tags += 1
            found.named += tags is not None and tags.matches(tag)
    return found


def describe_matches(
    path: str, images: Pattern, tags: Pattern | None, *, attached: bool = False
) -> str:
    """Return what the patterns match now, as a sentence for a form; by one query."""
    found = count_matches(path, images, tags, attached=attached)
    among = f"{counted(found.tags, 'tag')} in {counted(found.images, 'image')}"
    limit = "" if found.is_complete else f" (only {MAX_COUNTED:,} tags were counted)"
    if tags is None:
        return f"Matches {among} now{limit}."
    return f"Matches {found.named:,} of {among} now{limit}."


def describe_chosen(image: ContainerImage, criteria: Criteria) -> str:
    """Return how many tags of one image are meant now, as a sentence for a form."""
    if image.tag_count > MAX_COUNTED:
        return f"The plan counts the tags: there are more than {MAX_COUNTED:,}."
    return f"Matches {len(choose(image, criteria)):,} of {counted(image.tag_count, 'tag')} now."


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
