"""One page of an image's tags, current in the registry, after filtering and sorting all tags."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

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

#: Maximum number of possibly damaged tags that a page view reads again to be sure.
CHECKED = 10
#: Suffixes of digest tags whose names show what they contain. Other digest tags must be read.
_NAME_TELLS = (".sig", ".sbom")


@dataclass(frozen=True, slots=True)
class TableQuery:
    """Filter, sort order and page of a tag list, as given in the URL."""

    q: str = ""
    sort: str = "name"
    order: str = "asc"
    page: int = 1
    per_page: int = PER_PAGE


@dataclass(slots=True)
class TagTable:
    """One page of rows.

    ``total`` is the number of tags that match the filter, on all pages. ``error`` says why the
    page may not be current, and ``fresh_at`` when the registry last answered. ``orphans`` is the
    number of digest tags of the image whose subject no tag refers to.
    """

    rows: list[TagRow]
    total: int
    error: str | None
    fresh_at: datetime | None
    orphans: int = 0
    #: Names that the registry lists but that are not valid tags.
    unusable: Sequence[str] = ()


def tag_table(image: ContainerImage, query: TableQuery, host: str) -> TagTable:
    """Return one page of an image's tags, and correct the index if the registry's list differs.

    This costs one registry call for the list, and further calls only for manifests that are not
    stored. A page number after the last page returns the last page.

    Args:
        image: the image.
        query: filter, sort order and page.
        host: the registry's host name in pull commands.
    """
    comparison = LiveTagList(image)
    view = _view(image, query, host, ask=False)
    if comparison.settle(view.names) or (view.lacking and comparison.error is None):
        view = _view(image, query, host, ask=comparison.error is None)
    live = comparison.error, comparison.fresh_at
    return TagTable(view.rows, view.total, *live, view.orphans, comparison.unusable)


@dataclass(frozen=True, slots=True)
class _View:
    """One page of tags according to the index and the manifest store.

    ``names`` are all tags of the image, ``total`` the number that match the filter. ``lacking``
    is True if manifests of the visible rows were missing from the store.
    """

    names: list[str]
    total: int
    rows: list[TagRow]
    lacking: bool
    orphans: int


def _view(image: ContainerImage, query: TableQuery, host: str, *, ask: bool) -> _View:
    names = tag_names(image.id)
    folded, shown = group_attached_tags(names, subjects(image.id, names))
    orphans = sum(subject_of(name) is not None for name in shown)
    if query.q:
        matches = matcher(query.q)
        shown = [name for name in shown if matches(name)]
    shown = _sorted(shown, query, image.id)
    last = max(1, -(-len(shown) // query.per_page))
    start = (min(query.page, last) - 1) * query.per_page
    visible = shown[start : start + query.per_page]
    rows, lacking = _rows(image, host, visible, folded, ask=ask)
    return _View(names, len(shown), rows, lacking, orphans)


def tag_row(image: ContainerImage, name: TagName, host: str) -> TagRow:
    """Return one row, after fetching its manifests if they are not stored.

    Args:
        image: the image.
        name: the name of the tag.
        host: the registry's host name in pull commands.

    Raises:
        NotFound: the index has no such tag.
    """
    names = tag_names(image.id)
    if str(name) not in names:
        raise NotFound
    folded, _ = group_attached_tags(names, subjects(image.id, names))
    (row,), _ = _rows(image, host, [str(name)], folded, ask=True)
    return row


def _sorted(names: Iterable[str], query: TableQuery, image_id: int) -> list[str]:
    descending = query.order == "desc"
    by_version = sorted(names, key=version_key, reverse=descending)
    if query.sort == "name":
        return by_version
    values: Mapping[str, Any] = (
        _sizes(image_id) if query.sort == "size" else tag_values(image_id, query.sort)
    )
    # Unknown values come last in either direction.
    known_values = [name for name in by_version if values.get(name) is not None]
    known_values.sort(key=values.__getitem__, reverse=descending)
    return [*known_values, *(name for name in by_version if values.get(name) is None)]


def _sizes(image_id: int) -> dict[str, int | None]:
    tags = select(Tag.image_id, Tag.digest).where(Tag.image_id == image_id)
    sizes = sizes_of(db.session(), tags)
    digests = tag_digests(image_id)
    return {name: sizes.get((image_id, digest or "")) for name, digest in digests.items()}


def _rows(
    image: ContainerImage,
    host: str,
    names: Sequence[str],
    folded: Mapping[str, Sequence[str]],
    *,
    ask: bool,
) -> tuple[list[TagRow], bool]:
    """Return the rows of these tags, and whether manifests were missing from the store.

    Args:
        image: the image.
        host: the registry's host name in pull commands.
        names: the tags to return.
        folded: the digest tags of the image, by the digest of their subject.
        ask: whether to fetch missing manifests from the registry.
    """
    tags = _by_name(image, names)
    attached, earlier = _attached(image, tags, folded)
    speaking = _by_name(image, sorted({name for found in attached.values() for name in found}))
    telling = [tag for name, tag in speaking.items() if not name.endswith(_NAME_TELLS)]
    wanted = [*tags.values(), *telling]
    # Damaged tags are left to reconciliation, so that page views don't retry them in vain.
    readable = [tag for tag in wanted if not tag.is_damaged]
    manifests, children = _stored(image, wanted)
    lacking = not is_complete(manifests, children, [tag.digest for tag in readable])
    problems: dict[str, str] = {}
    if lacking and ask:
        problems = prefetch(image, readable)
        manifests, children = _stored(image, wanted)
    same = tags_of(image.id, {tag.digest for tag in tags.values() if tag.digest})
    protected = protections(image, list(tags))
    rows = []
    for name in filter(tags.__contains__, names):
        row = TagRow.of(tags[name])
        row.folded = sorted({*attached[name], *earlier[name]})
        row.is_orphan = subject_of(name) is not None
        others = (other for other in same.get(row.digest or "", []) if other != name)
        row.same_as = sorted(others, key=version_key)
        add_manifest_info(row, manifests.get(row.digest or ""), children)
        digests = {other: speaking[other].digest for other in attached[name] if other in speaking}
        add_attachment_flags(row, digests, {**children, **manifests})
        row.pull_command = pull_command(row.kind, f"{host}/{image.path}", name)
        row.problem = problems.get(name)
        row.protection = protected.get(name)
        rows.append(row)
    return rows, lacking


def _attached(
    image: ContainerImage, tags: Mapping[str, Tag], folded: Mapping[str, Sequence[str]]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the digest tags that belong to each tag: to its current and to its earlier digests.

    Both dictionaries are by tag name. The current digests include the platforms of an index.
    """
    platforms, earlier = related_digests(image.id, list(tags.values()), folded.keys())
    now: dict[str, set[str]] = {}
    before: dict[str, set[str]] = {}
    for name, tag in tags.items():
        current = {tag.digest or "", *platforms[name]}
        now[name] = {other for digest in current for other in folded.get(digest, ())}
        before[name] = {other for digest in earlier[name] - current for other in folded[digest]}
    return now, before


def _by_name(image: ContainerImage, names: Collection[str]) -> dict[str, Tag]:
    if not names:
        return {}
    query = select(Tag).where(Tag.image_id == image.id, Tag.name.in_(names))
    return {tag.name: tag for tag in db.session.scalars(query)}


def _stored(
    image: ContainerImage, tags: Iterable[Tag]
) -> tuple[dict[str, Manifest], dict[str, Manifest]]:
    manifests = stored_manifests(tag.digest for tag in tags if tag.digest)
    return manifests, children_of(image.path, manifests.values())


def prefetch(image: ContainerImage, tags: Iterable[Tag]) -> dict[str, str]:
    """Fetch the manifests of these tags that are not stored, and store digests that were unknown.

    Tags that turn out to be unreadable are marked as damaged.

    Returns:
        Error messages by tag name.
    """
    every = list(tags)
    found = ensure_fetched(RepositoryName(image.path), {tag.name: tag.digest for tag in every})
    unknown = [tag for tag in every if tag.digest is None and tag.name in found.digests]
    if unknown:
        with writing() as session:
            for tag in unknown:
                tag.digest = found.digests[tag.name]
                session.add(tag)
    _mark_damaged(image, [tag for tag in every if _may_be_damaged(found.problems.get(tag.name))])
    return {name: str(problem) for name, problem in found.problems.items()}


def _may_be_damaged(problem: RegistryError | None) -> bool:
    return isinstance(problem, RegistryNotFound | RegistryFault)


def _mark_damaged(image: ContainerImage, tags: list[Tag]) -> None:
    """Mark tags as damaged that failed for this page, if they still fail and are listed."""
    names = [tag.name for tag in tags[:CHECKED]]
    started = utc_now()
    try:
        live = read_tags(RepositoryName(image.path), names, slow_timeout=0)
    except RegistryError:
        return
    if live.damaged:
        with writing() as session:
            for tag in tags[:CHECKED]:
                if tag.name in live.damaged and tag.seen_at < started:
                    tag.mark_damaged(live.damaged[tag.name], started)
                    session.add(tag)
