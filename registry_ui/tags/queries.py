"""All tags of an image, as little of each as a list needs, and as quick as the store can.

A page shows fifty of perhaps thousands. The names come from one index alone, what else of
them is needed from another; objects are made of those fifty only (``make bench-browse``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, func, literal, select, union_all
from sqlalchemy.orm import aliased

from ..db.prepared import CompiledQuery, lines_of
from ..db.session import db
from ..models import IndexChild, Manifest, RepositoryManifest, Tag, TagHistoryEntry
from ..names import subject_of
from .rows import has_digest_tags
from .version_sort import version_key

#: Digests in one query; SQLite takes 32,766 values.
BATCH = 10_000

_OF_IMAGE = Tag.image_id == bindparam("image_id", type_=Tag.image_id.type)
_NAMES = CompiledQuery(select(lines_of(Tag.name).label("names")).where(_OF_IMAGE))
_DISTINCT = CompiledQuery(select(Tag.digest).where(_OF_IMAGE, Tag.digest.is_not(None)).distinct())
_DIGESTS = CompiledQuery(select(Tag.name, Tag.digest).where(_OF_IMAGE))
#: What the index says of a tag in a column of its own, by the word of the URL.
_VALUES = {
    "pushed": CompiledQuery(select(Tag.name, Tag.pushed_at).where(_OF_IMAGE)),
    "pulled": CompiledQuery(select(Tag.name, Tag.last_pulled_at).where(_OF_IMAGE)),
    "pulls": CompiledQuery(select(Tag.name, Tag.pull_count).where(_OF_IMAGE)),
}


_child = aliased(Manifest)
_UNRECORDED = (_OF_IMAGE, Tag.pushed_at.is_(None))
_BUILT = CompiledQuery(
    select(Tag.name, Manifest.built_at)
    .join(Manifest, Manifest.digest == Tag.digest)
    .where(*_UNRECORDED, Manifest.built_at.is_not(None))
)
_BUILT_PLATFORMS = CompiledQuery(
    select(Tag.name, func.min(_child.built_at).label("built_at"))
    .join(IndexChild, IndexChild.parent == Tag.digest)
    .join(
        RepositoryManifest,
        (RepositoryManifest.image_id == Tag.image_id)
        & (RepositoryManifest.digest == IndexChild.child),
    )
    .join(_child, _child.digest == IndexChild.child)
    .where(*_UNRECORDED, _child.built_at.is_not(None))
    .group_by(Tag.name)
)


def tag_names(image_id: int) -> list[str]:
    """Return the names of all tags of an image, in no order."""
    ((lines,),) = _NAMES.tuples(db.engine, image_id=image_id)
    return lines.split("\n") if lines else []


def tag_digests(image_id: int) -> dict[str, str | None]:
    """Return what each tag of an image stands for, as far as it is known."""
    return dict(_DIGESTS.tuples(db.engine, image_id=image_id))  # type: ignore[arg-type]


def tag_values(image_id: int, sort: str) -> dict[str, Any]:
    """Return what a list of tags shows and sorts by: ``pushed``, ``pulled`` or ``pulls``."""
    values: dict[str, Any] = dict(_VALUES[sort].tuples(db.engine, image_id=image_id))  # type: ignore[arg-type]
    if sort == "pushed" and None in values.values():
        # The column shows when an image was built if its push was not recorded.
        for query in (_BUILT_PLATFORMS, _BUILT):
            values |= query.tuples(db.engine, image_id=image_id)  # type: ignore[arg-type]
    return values


def subjects(image_id: int, names: Collection[str]) -> set[str]:
    """Return the digests that a tag of these may speak of, and that a tag of the image reaches.

    A tag reaches its digest, what its index lists, and what it pointed to earlier.
    """
    if not has_digest_tags(names):
        return set()
    found = {digest for (digest,) in _DISTINCT.tuples(db.engine, image_id=image_id)}
    others = {subject for name in names if (subject := subject_of(name))} - found
    if others:
        found |= _platforms_and_earlier(image_id, others)
    return found


def _platforms_and_earlier(image_id: int, digests: Collection[str]) -> set[str]:
    """Return those digests that an index of the image lists, or that a tag of it had earlier."""
    found: set[str] = set()
    every = sorted(digests)
    for start in range(0, len(every), BATCH):
        some = every[start : start + BATCH]
        listed = (
            select(IndexChild.child)
            .join(Tag, Tag.digest == IndexChild.parent)
            .where(IndexChild.child.in_(some), Tag.image_id == image_id)
        )
        earlier = (
            select(TagHistoryEntry.digest)
            .join(
                Tag, (Tag.image_id == TagHistoryEntry.image_id) & (Tag.name == TagHistoryEntry.tag)
            )
            .where(TagHistoryEntry.image_id == image_id, TagHistoryEntry.digest.in_(some))
        )
        found |= set(db.session.scalars(listed.union(earlier)))
    return found


def related_digests(
    image_id: int, tags: Collection[Tag], digests: Collection[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return which of these digests the tags reach: by tag, as platforms and as earlier digests.

    Args:
        tags: of one page.
        digests: those of which some tag speaks.
    """
    platforms: dict[str, set[str]] = defaultdict(set)
    earlier: dict[str, set[str]] = defaultdict(set)
    if not digests:
        return platforms, earlier
    by_digest: dict[str, set[str]] = defaultdict(set)
    parents = {tag.digest for tag in tags if tag.digest}
    listed = select(IndexChild.parent, IndexChild.child).where(IndexChild.parent.in_(parents))
    for parent, child in db.session.execute(listed):
        by_digest[parent].add(child)
    for tag in tags:
        platforms[tag.name] = by_digest[tag.digest or ""].intersection(digests)
    moments = select(TagHistoryEntry.tag, TagHistoryEntry.digest).where(
        TagHistoryEntry.image_id == image_id, TagHistoryEntry.tag.in_({tag.name for tag in tags})
    )
    if len(digests) <= BATCH:
        moments = moments.where(TagHistoryEntry.digest.in_(sorted(digests)))
    for name, digest in db.session.execute(moments.distinct()):
        if digest in digests:
            earlier[name].add(digest)
    return platforms, earlier


def tag_reaching(image_id: int, digest: str) -> tuple[str, str] | None:
    """Return a tag that reaches a digest, and how: ``tag``, ``platform`` or ``earlier``.

    Of several, the one that reaches it most directly, and of those the highest version.
    """
    here = Tag.image_id == image_id
    listed = IndexChild.parent == Tag.digest
    before = (TagHistoryEntry.image_id == Tag.image_id) & (TagHistoryEntry.tag == Tag.name)
    ways = {
        "tag": select(Tag.name, literal("tag")).where(here, Tag.digest == digest),
        "platform": select(Tag.name, literal("platform"))
        .join(IndexChild, listed)
        .where(here, IndexChild.child == digest),
        "earlier": select(Tag.name, literal("earlier"))
        .join(TagHistoryEntry, before)
        .where(here, TagHistoryEntry.digest == digest),
    }
    found = db.session.execute(union_all(*ways.values())).all()
    order = list(ways)
    return min(
        ((name, way) for name, way in sorted(found, key=_version, reverse=True)),
        key=lambda pair: order.index(pair[1]),
        default=None,
    )


def _version(row: Any) -> str:
    return version_key(row[0])


def tags_of(image_id: int, digests: Collection[str]) -> dict[str, list[str]]:
    """Return the tags of each of a page's digests."""
    found: dict[str, list[str]] = defaultdict(list)
    query = select(Tag.name, Tag.digest).where(Tag.image_id == image_id, Tag.digest.in_(digests))
    for name, digest in db.session.execute(query):
        found[digest or ""].append(name)
    return found
