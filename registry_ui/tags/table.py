"""One page of the list of an image's tags, after filtering and sorting all tags.

The list is compared with the registry, so that it is current. A "digest tag" is the tag of a
signature or SBOM, whose name contains the digest of its subject: ``sha256-<hex>.sig``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..catalog.images import lock_image
from ..catalog.live_tags import read_tags
from ..db.session import db, writing
from ..distribution.errors import RegistryError, RegistryFault, RegistryNotFound
from ..errors import NotFound
from ..manifests.store import children_of, ensure_fetched, is_complete, stored_manifests
from ..models import ContainerImage, Manifest, Tag, utc_now
from ..names import RepositoryName, TagName, subject_of
from ..patterns.search import matcher
from .enforcement import protections
from .live_list import LiveTagList
from .queries import related_digests, subjects, tag_digests, tag_names, tag_values, tags_of
from .rows import TagRow, add_attachment_flags, add_manifest_info, group_attached_tags, pull_command
from .sizes import sizes_of
from .version_sort import version_key

PER_PAGE = 50
SORTS = ("name", "size", "pushed", "pulled", "pulls")

#: Maximum number of possibly damaged tags that a page view reads again to verify the damage.
MAX_CHECKED = 10
#: Suffixes that show whether a digest tag is a signature or an SBOM. The manifests of digest tags
#: with any other suffix must be read.
_KNOWN_SUFFIXES = (".sig", ".sbom")


@dataclass(frozen=True, slots=True)
class TableQuery:
    """Filter, sort order, and page of a tag list, as given in the URL.

    ``q`` is the filter text, ``sort`` one of SORTS, ``order`` ``asc`` or ``desc``, and ``page`` the
    page number, from 1.
    """

    q: str = ""
    sort: str = "name"
    order: str = "asc"
    page: int = 1
    per_page: int = PER_PAGE


@dataclass(slots=True)
class TagTable:
    """One page of a tag list.

    ``total`` is the number of tags that match the filter, on all pages. ``error`` is the registry's
    error if the page may not be current, or None. ``fresh_at`` is when the registry last returned
    the list of tags. ``orphans`` is the number of the image's digest tags whose subject no tag
    refers to.
    """

    rows: list[TagRow]
    total: int
    error: str | None
    fresh_at: datetime | None
    orphans: int = 0
    #: Names that the registry lists as tags but that are not valid.
    unusable: Sequence[str] = ()


def tag_table(image: ContainerImage, query: TableQuery, host: str) -> TagTable:
    """Return one page of an image's tags, and correct the database if the registry's list differs.

    This costs one registry call for the list of tags, and further calls only for manifests that
    are not stored in the database. If the page number is too high, the last page is returned.

    Args:
        image: the image.
        query: filter, sort order, and page.
        host: the registry's host name, for pull commands.
    """
    live_list = LiveTagList(image)
    view = _build_view(image, query, host, can_fetch=False)
    if live_list.settle(view.names) or (view.were_missing and live_list.error is None):
        view = _build_view(image, query, host, can_fetch=live_list.error is None)
    return TagTable(
        rows=view.rows,
        total=view.total,
        error=live_list.error,
        fresh_at=live_list.fresh_at,
        orphans=view.orphans,
        unusable=live_list.unusable,
    )


@dataclass(frozen=True, slots=True)
class _View:
    """One page of an image's tags according to the database.

    ``names`` are all tags of the image, ``total`` is the number of tags that match the filter.
    ``were_missing`` is True if manifests of the page's rows were missing in the database.
    ``orphans`` is the number of the image's digest tags whose subject no tag refers to.
    """

    names: list[str]
    total: int
    rows: list[TagRow]
    were_missing: bool
    orphans: int


def _build_view(image: ContainerImage, query: TableQuery, host: str, *, can_fetch: bool) -> _View:
    names = tag_names(image.id)
    digest_tags, matching_names = group_attached_tags(names, subjects(image.id, names))
    orphans = sum(subject_of(name) is not None for name in matching_names)
    if query.q:
        matches = matcher(query.q)
        matching_names = [name for name in matching_names if matches(name)]
    matching_names = _sort(matching_names, query, image.id)
    last_page = max(1, -(-len(matching_names) // query.per_page))
    start = (min(query.page, last_page) - 1) * query.per_page
    visible = matching_names[start : start + query.per_page]
    rows, were_missing = _load_rows(image, host, visible, digest_tags, can_fetch=can_fetch)
    return _View(names, len(matching_names), rows, were_missing, orphans)


def tag_row(image: ContainerImage, name: TagName, host: str) -> TagRow:
    """Return the row of one tag, after fetching its manifests if they are not stored.

    Args:
        image: the image.
        name: the name of the tag.
        host: the registry's host name, for pull commands.

    Raises:
        NotFound: the database has no such tag of the image.
    """
    names = tag_names(image.id)
    if str(name) not in names:
        raise NotFound
    digest_tags, _ = group_attached_tags(names, subjects(image.id, names))
    (row,), _ = _load_rows(image, host, [str(name)], digest_tags, can_fetch=True)
    return row


def _sort(names: Iterable[str], query: TableQuery, image_id: int) -> list[str]:
    descending = query.order == "desc"
    by_version = sorted(names, key=version_key, reverse=descending)
    if query.sort == "name":
        return by_version
    values: Mapping[str, Any] = (
        _load_sizes(image_id) if query.sort == "size" else tag_values(image_id, query.sort)
    )
    # Unknown values come last in either direction.
    known_values = [name for name in by_version if values.get(name) is not None]
    known_values.sort(key=values.__getitem__, reverse=descending)
    return [*known_values, *(name for name in by_version if values.get(name) is None)]


def _load_sizes(image_id: int) -> dict[str, int | None]:
    tags = select(Tag.image_id, Tag.digest).where(Tag.image_id == image_id)
    sizes = sizes_of(db.session(), tags)
    digests = tag_digests(image_id)
    return {name: sizes.get((image_id, digest or "")) for name, digest in digests.items()}


def _load_rows(
    image: ContainerImage,
    host: str,
    names: Sequence[str],
    digest_tags: Mapping[str, Sequence[str]],
    *,
    can_fetch: bool,
) -> tuple[list[TagRow], bool]:
    """Return the rows of some tags, and whether manifests were missing in the database.

    Tags that the database does not have are left out.

    Args:
        image: the image.
        host: the registry's host name, for pull commands.
        names: the tags to return.
        digest_tags: the digest tags of the image, by the digest of their subject.
        can_fetch: whether to fetch missing manifests from the registry.
    """
    tags = _load_tags(image, names)
    attached_by_tag, earlier_by_tag = _find_attached(image, tags, digest_tags)
    attached_names = set[str]().union(*attached_by_tag.values())
    attached_tags = _load_tags(image, sorted(attached_names))
    to_read = [tag for name, tag in attached_tags.items() if not name.endswith(_KNOWN_SUFFIXES)]
    manifests = _load_or_fetch_manifests(image, [*tags.values(), *to_read], can_fetch=can_fetch)
    same_digest = tags_of(image.id, {tag.digest for tag in tags.values() if tag.digest})
    protections_by_name = protections(image, list(tags))
    rows = []
    for name in filter(tags.__contains__, names):
        row = _create_row(tags[name], manifests)
        row.folded = sorted({*attached_by_tag[name], *earlier_by_tag[name]})
        same_digest_names = (n for n in same_digest.get(row.digest or "", []) if n != name)
        row.same_as = sorted(same_digest_names, key=version_key)
        digests = {n: attached_tags[n].digest for n in attached_by_tag[name] if n in attached_tags}
        add_attachment_flags(row, digests, {**manifests.children, **manifests.by_digest})
        row.pull_command = pull_command(row.kind, f"{host}/{image.path}", name)
        row.protection = protections_by_name.get(name)
        rows.append(row)
    return rows, manifests.were_missing


@dataclass(frozen=True, slots=True)
class _Manifests:
    """The stored manifests of some tags.

    Attributes:
        by_digest: manifests that tags point to, by digest.
        children: children of the OCI indexes in ``by_digest``, by digest.
        were_missing: whether manifests were missing in the database before they were fetched.
        problems: error messages for manifests that could not be fetched, by tag name.
    """

    by_digest: dict[str, Manifest]
    children: dict[str, Manifest]
    were_missing: bool
    problems: dict[str, str]


def _load_or_fetch_manifests(
    image: ContainerImage, tags: Sequence[Tag], *, can_fetch: bool
) -> _Manifests:
    # The manifests of damaged tags are not requested, because the request would fail again. A
    # reconcile finds out when they can be read.
    readable = [tag for tag in tags if not tag.is_damaged]
    by_digest, children = _load_manifests(image, tags)
    are_missing = not is_complete(by_digest, children, [tag.digest for tag in readable])
    problems: dict[str, str] = {}
    if are_missing and can_fetch:
        problems = prefetch(image, readable)
        by_digest, children = _load_manifests(image, tags)
    return _Manifests(by_digest, children, are_missing, problems)


def _create_row(tag: Tag, manifests: _Manifests) -> TagRow:
    row = TagRow.of(tag)
    row.is_orphan = subject_of(tag.name) is not None
    row.problem = manifests.problems.get(tag.name)
    add_manifest_info(row, manifests.by_digest.get(row.digest or ""), manifests.children)
    return row


def _find_attached(
    image: ContainerImage, tags: Mapping[str, Tag], digest_tags: Mapping[str, Sequence[str]]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the digest tags, such as signatures, that belong to each tag.

    Args:
        image: the image.
        tags: the tags, by name.
        digest_tags: the digest tags of the image, by the digest of their subject.

    Returns:
        Two dictionaries by tag name: the digest tags whose subject is the tag's current digest or
        a platform in its OCI index, and those whose subject is a digest that the tag pointed to
        earlier.
    """
    platforms, earlier = related_digests(image.id, list(tags.values()), digest_tags.keys())
    current_tags: dict[str, set[str]] = {}
    earlier_tags: dict[str, set[str]] = {}
    for name, tag in tags.items():
        current = {tag.digest or "", *platforms[name]}
        current_tags[name] = {
            attached_name for digest in current for attached_name in digest_tags.get(digest, ())
        }
        earlier_tags[name] = {
            attached_name
            for digest in earlier[name] - current
            for attached_name in digest_tags[digest]
        }
    return current_tags, earlier_tags


def _load_tags(image: ContainerImage, names: Collection[str]) -> dict[str, Tag]:
    if not names:
        return {}
    query = select(Tag).where(Tag.image_id == image.id, Tag.name.in_(names))
    return {tag.name: tag for tag in db.session.scalars(query)}


def _load_manifests(
    image: ContainerImage, tags: Iterable[Tag]
) -> tuple[dict[str, Manifest], dict[str, Manifest]]:
    manifests = stored_manifests(tag.digest for tag in tags if tag.digest)
    return manifests, children_of(image.path, manifests.values())


def prefetch(image: ContainerImage, tags: Iterable[Tag]) -> dict[str, str]:
    """Fetch and store the manifests of an image's tags that are not stored in the database.

    Digests of tags that were unknown are stored, too. Tags that the registry can't read are marked
    as damaged.

    Returns:
        Error messages by tag name, for the tags whose manifests could not be fetched.
    """
    all_tags = list(tags)
    summary = ensure_fetched(RepositoryName(image.path), {tag.name: tag.digest for tag in all_tags})
    newly_known = [tag for tag in all_tags if tag.digest is None and tag.name in summary.digests]
    if newly_known:
        with writing() as session:
            for tag in _lock_tags(session, image, newly_known):
                tag.digest = tag.digest or summary.digests[tag.name]
    _mark_damaged(
        image, [tag for tag in all_tags if _can_be_damaged(summary.problems.get(tag.name))]
    )
    return {name: str(problem) for name, problem in summary.problems.items()}


def _can_be_damaged(problem: RegistryError | None) -> bool:
    return isinstance(problem, RegistryNotFound | RegistryFault)


def _mark_damaged(image: ContainerImage, tags: list[Tag]) -> None:
    """Mark tags as damaged if the registry still lists them but still can't read them.

    Args:
        image: the image.
        tags: tags whose manifests could not be fetched. Only the first MAX_CHECKED are read again.
    """
    names = [tag.name for tag in tags[:MAX_CHECKED]]
    started_at = utc_now()
    try:
        live = read_tags(RepositoryName(image.path), names, slow_timeout=0)
    except RegistryError:
        return
    if live.damaged:
        damaged_tags = [tag for tag in tags[:MAX_CHECKED] if tag.name in live.damaged]
        with writing() as session:
            for tag in _lock_tags(session, image, damaged_tags):
                if tag.seen_at < started_at:
                    tag.mark_damaged(live.damaged[tag.name], started_at)


def _lock_tags(session: Session, image: ContainerImage, tags: Iterable[Tag]) -> list[Tag]:
    """Lock an image's row, and return the current rows of the given tags that still exist."""
    lock_image(session, image.id)
    query = select(Tag).where(Tag.id.in_([tag.id for tag in tags])).order_by(Tag.id)
    return list(session.scalars(query.execution_options(populate_existing=True)))
