"""Fast queries over all tags of an image; each returns only the columns that a list needs.

A page shows fifty of possibly thousands of tags. If possible, the names and each sorted column are
read from covering database indexes. ORM objects are created only for the fifty visible tags
(``make bench-browse``). A "digest tag" is the tag of a signature or SBOM, whose name contains the
digest of its subject: ``sha256-<hex>.sig``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, func, literal, select, union_all
from sqlalchemy.orm import aliased

from ..batches import split_into_batches
from ..db.prepared import CompiledQuery, string_agg
from ..db.session import db
from ..models import IndexChild, Manifest, RepositoryManifest, Tag, TagHistoryEntry
from ..names import subject_of
from .rows import has_digest_tags
from .version_sort import version_key

#: Maximum number of digests per query. SQLite allows 32,766 parameters.
BATCH_SIZE = 10_000

_OF_IMAGE = Tag.image_id == bindparam("image_id", type_=Tag.image_id.type)
_NAMES = CompiledQuery(select(string_agg(Tag.name).label("names")).where(_OF_IMAGE))
_DISTINCT = CompiledQuery(select(Tag.digest).where(_OF_IMAGE, Tag.digest.is_not(None)).distinct())
_DIGESTS = CompiledQuery(select(Tag.name, Tag.digest).where(_OF_IMAGE))
#: Queries for the values of a sortable column, by the name of the sort order in the URL.
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
    """Return the names of all tags of an image, in no particular order."""
    ((lines,),) = _NAMES.tuples(db.engine, image_id=image_id)
    return lines.split("\n") if lines else []


def tag_digests(image_id: int) -> dict[str, str | None]:
    """Return the digests of all tags of an image by tag name; None for an unknown digest."""
    return dict(_DIGESTS.tuples(db.engine, image_id=image_id))  # type: ignore[arg-type]


def tag_values(image_id: int, sort: str) -> dict[str, Any]:
    """Return the values of a sortable column of the tag list, for all tags of an image.

    Args:
        image_id: id of the image.
        sort: ``pushed`` for push times (or build times, if the push was not recorded), ``pulled``
            for last pull times, or ``pulls`` for numbers of pulls.

    Returns:
        The values by tag name; None for unknown values.
    """
    values: dict[str, Any] = dict(_VALUES[sort].tuples(db.engine, image_id=image_id))  # type: ignore[arg-type]
    if sort == "pushed" and None in values.values():
        # For a tag whose push was not recorded, the column shows when the image was built.
        for query in (_BUILT_PLATFORMS, _BUILT):
            values |= query.tuples(db.engine, image_id=image_id)  # type: ignore[arg-type]
    return values


def subjects(image_id: int, names: Collection[str]) -> set[str]:
    """Return the digests that tags of an image refer to, as possible subjects of digest tags.

    A tag refers to the digest that it points to, to the manifests in its OCI index, and to the
    digests that it pointed to earlier. Digests of the last two kinds are returned only if they are
    the subject of a digest tag in ``names``. The result is empty if ``names`` has no digest tag.

    Args:
        image_id: id of the image.
        names: all tags of the image.
    """
    if not has_digest_tags(names):
        return set()
    digests = {digest for (digest,) in _DISTINCT.tuples(db.engine, image_id=image_id)}
    candidates = {subject for name in names if (subject := subject_of(name))} - digests
    if candidates:
        digests |= _find_platforms_and_earlier(image_id, candidates)
    return digests


def _find_platforms_and_earlier(image_id: int, digests: Collection[str]) -> set[str]:
    """Return those of the digests that tags of an image refer to indirectly.

    These are the digests that a tag's OCI index lists, and those that a tag pointed to earlier.
    """
    matches: set[str] = set()
    for batch in split_into_batches(sorted(digests), BATCH_SIZE):
        platforms_query = (
            select(IndexChild.child)
            .join(Tag, Tag.digest == IndexChild.parent)
            .where(IndexChild.child.in_(batch), Tag.image_id == image_id)
        )
        history_query = (
            select(TagHistoryEntry.digest)
            .join(
                Tag, (Tag.image_id == TagHistoryEntry.image_id) & (Tag.name == TagHistoryEntry.tag)
            )
            .where(TagHistoryEntry.image_id == image_id, TagHistoryEntry.digest.in_(batch))
        )
        matches |= set(db.session.scalars(platforms_query.union(history_query)))
    return matches


def related_digests(
    image_id: int, tags: Collection[Tag], digests: Collection[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Find, for each tag, the subjects of digest tags that it contains now or contained before.

    Args:
        image_id: id of the image.
        tags: the tags of one page.
        digests: the subjects of all digest tags of the image.

    Returns:
        Two dictionaries by tag name: the subjects that the tag's OCI index lists, and the subjects
        that the tag pointed to at any time.
    """
    platforms: dict[str, set[str]] = defaultdict(set)
    earlier: dict[str, set[str]] = defaultdict(set)
    if not digests:
        return platforms, earlier
    by_digest: dict[str, set[str]] = defaultdict(set)
    parents = {tag.digest for tag in tags if tag.digest}
    query = select(IndexChild.parent, IndexChild.child).where(IndexChild.parent.in_(parents))
    for parent, child in db.session.execute(query):
        by_digest[parent].add(child)
    for tag in tags:
        platforms[tag.name] = by_digest[tag.digest or ""].intersection(digests)
    history_query = select(TagHistoryEntry.tag, TagHistoryEntry.digest).where(
        TagHistoryEntry.image_id == image_id, TagHistoryEntry.tag.in_({tag.name for tag in tags})
    )
    if len(digests) <= BATCH_SIZE:
        history_query = history_query.where(TagHistoryEntry.digest.in_(sorted(digests)))
    for name, digest in db.session.execute(history_query.distinct()):
        if digest in digests:
            earlier[name].add(digest)
    return platforms, earlier


def tag_reaching(image_id: int, digest: str) -> tuple[str, str] | None:
    """Return a tag of an image that refers to a digest, and the way in which the tag refers to it.

    Args:
        image_id: id of the image.
        digest: the digest.

    Returns:
        The name of the tag, and ``tag`` if it points to the digest, ``platform`` if its OCI index
        lists the digest, or ``earlier`` if it pointed to the digest before. None if there is no
        such tag. Among several tags, those that point to the digest come first, then those with
        an OCI index; among equal ones, the highest version is returned.
    """
    of_image = Tag.image_id == image_id
    is_listed = IndexChild.parent == Tag.digest
    is_earlier = (TagHistoryEntry.image_id == Tag.image_id) & (TagHistoryEntry.tag == Tag.name)
    queries = {
        "tag": select(Tag.name, literal("tag")).where(of_image, Tag.digest == digest),
        "platform": select(Tag.name, literal("platform"))
        .join(IndexChild, is_listed)
        .where(of_image, IndexChild.child == digest),
        "earlier": select(Tag.name, literal("earlier"))
        .join(TagHistoryEntry, is_earlier)
        .where(of_image, TagHistoryEntry.digest == digest),
    }
    rows = db.session.execute(union_all(*queries.values())).all()
    order = list(queries)
    return min(
        ((name, way) for name, way in sorted(rows, key=_version_from_row, reverse=True)),
        key=lambda pair: order.index(pair[1]),
        default=None,
    )


def _version_from_row(row: Any) -> str:
    return version_key(row[0])


def tags_of(image_id: int, digests: Collection[str]) -> dict[str, list[str]]:
    """Return the names of an image's tags that point to the given digests, by digest."""
    names: dict[str, list[str]] = defaultdict(list)
    query = select(Tag.name, Tag.digest).where(Tag.image_id == image_id, Tag.digest.in_(digests))
    for name, digest in db.session.execute(query):
        names[digest or ""].append(name)
    return names
