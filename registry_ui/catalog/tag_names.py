"""All tags of an image, as little of each as a list needs, and as quick as the store can.

A page shows fifty of perhaps thousands. The names come from one index alone, what else of
them is needed from another; objects are made of those fifty only (``make bench-browse``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import bindparam, select

from ..extensions import db
from ..models import Tag
from ..storage import Prepared, lines_of
from .tags import may_speak

_OF_IMAGE = Tag.image_id == bindparam("image_id", type_=Tag.image_id.type)
_NAMES = Prepared(select(lines_of(Tag.name).label("names")).where(_OF_IMAGE))
_DISTINCT = Prepared(select(Tag.digest).where(_OF_IMAGE, Tag.digest.is_not(None)).distinct())
_DIGESTS = Prepared(select(Tag.name, Tag.digest).where(_OF_IMAGE))
#: What the index says of a tag in a column of its own, by the word of the URL.
_VALUES = {
    "pushed": Prepared(select(Tag.name, Tag.pushed_at).where(_OF_IMAGE)),
    "pulled": Prepared(select(Tag.name, Tag.last_pulled_at).where(_OF_IMAGE)),
    "pulls": Prepared(select(Tag.name, Tag.pull_count).where(_OF_IMAGE)),
}


def tag_names(image_id: int) -> list[str]:
    """Return the names of all tags of an image, in no order."""
    ((lines,),) = _NAMES.tuples(db.engine, image_id=image_id)
    return lines.split("\n") if lines else []


def tag_digests(image_id: int) -> dict[str, str | None]:
    """Return what each tag of an image stands for, as far as it is known."""
    return dict(_DIGESTS.tuples(db.engine, image_id=image_id))  # type: ignore[arg-type]


def tag_values(image_id: int, sort: str) -> dict[str, Any]:
    """Return what each tag of an image is sorted by: ``pushed``, ``pulled`` or ``pulls``."""
    return dict(_VALUES[sort].tuples(db.engine, image_id=image_id))  # type: ignore[arg-type]


def subjects(image_id: int, names: Iterable[str]) -> set[str]:
    """Return the digests of an image that a tag of these may speak of: none where none does."""
    if not may_speak(names):
        return set()
    return {digest for (digest,) in _DISTINCT.tuples(db.engine, image_id=image_id)}


def tags_of(image_id: int, digests: Collection[str]) -> dict[str, list[str]]:
    """Return the tags of each of a page's digests."""
    found: dict[str, list[str]] = defaultdict(list)
    query = select(Tag.name, Tag.digest).where(Tag.image_id == image_id, Tag.digest.in_(digests))
    for name, digest in db.session.execute(query):
        found[digest].append(name)
    return found
