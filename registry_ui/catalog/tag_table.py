"""A page of an image's tags, live from the registry, sorted and filtered over all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from ..distribution.errors import RegistryError, RegistryNotFound
from ..errors import NotFound
from ..extensions import db, release, writing
from ..models import ContainerImage, Tag, utc_now
from ..names import RepositoryName, TagName
from .facts import children_of, gather, known
from .matching import matcher
from .ordering import version_key
from .reconcile import mend, visible_tags
from .sizes import sizes_of
from .tags import TagRow, describe, fold, mark, pull_command

PER_PAGE = 50
SORTS = ("name", "size", "pushed", "pulled", "pulls")

#: What the index says by a column of its own.
_COLUMNS = {"pushed": Tag.pushed_at, "pulled": Tag.last_pulled_at, "pulls": Tag.pull_count}
#: Attached tags whose names do not tell what they hold: they are looked into.
_NAME_TELLS = (".sig", ".sbom")


class _Tag(NamedTuple):
    """As little of a tag as sorting needs: thousands of objects would cost more than the rest."""

    name: str
    digest: str | None
    value: Any


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows, in which order, and how many a page. All of it lives in the URL."""

    q: str = ""
    sort: str = "name"
    order: str = "asc"
    page: int = 1
    per_page: int = PER_PAGE


@dataclass(slots=True)
class TagTable:
    """A page of rows of all that match. ``error`` says why it may not be live."""

    rows: list[TagRow]
    total: int
    error: str | None
    fresh_at: datetime | None


def tag_table(image: ContainerImage, query: Query, host: str) -> TagTable:
    """Return a page of an image's tags; mends the index where the registry says otherwise.

    One call to the registry for the list, and none for what the store knows already. A
    page behind the last one is the last one.

    Args:
        host: the registry's name in pull commands.
    """
    error, fresh_at, tags = _current(image, query.sort)
    folded, shown = fold(tags)
    matches = matcher(query.q)
    shown = [tag for tag in shown if matches(tag.name)]
    _sort(shown, query, image.id)
    last = max(1, -(-len(shown) // query.per_page))
    start = (min(query.page, last) - 1) * query.per_page
    visible = shown[start : start + query.per_page]
    rows = _rows(image, host, visible, _Every(tags, folded), ask=error is None)
    return TagTable(rows, len(shown), error, fresh_at)


def tag_row(image: ContainerImage, name: TagName, host: str) -> TagRow:
    """Return one row, asking the registry for what of it is not known yet.

    Raises:
        NotFound: the index has no such tag.
    """
    tags = _all(image, "name")
    wanted = [tag for tag in tags if tag.name == str(name)]
    if not wanted:
        raise NotFound
    folded, _ = fold(tags)
    (row,) = _rows(image, host, wanted, _Every(tags, folded), ask=True)
    return row


def refresh(image: ContainerImage) -> tuple[str | None, datetime | None]:
    """Compare an image's tags with the registry's list, by one call; mend the index.

    Returns the trouble, if there was any, and when the registry last answered.
    """
    error, fresh_at, _ = _current(image, "name")
    return error, fresh_at


def _current(
    image: ContainerImage, sort: str
) -> tuple[str | None, datetime | None, Sequence[_Tag]]:
    """Compare an image's tags with the registry's list, by one call.

    Returns the trouble, if there was any; when the registry last answered; and all tags.
    """
    started = utc_now()
    release()
    try:
        names = visible_tags(RepositoryName(image.path))
    except RegistryNotFound:
        names = []
    except RegistryError as error:
        return str(error), image.reconciled_at, _all(image, sort)
    tags = _all(image, sort)
    if {tag.name for tag in tags} != set(names):
        with writing() as session:
            current = session.get(ContainerImage, image.id)
            if current is not None:
                mend(session, current, names, {}, started)
        tags = _all(image, sort)
    return None, started, tags


def _all(image: ContainerImage, sort: str) -> Sequence[_Tag]:
    """Return every tag of an image, with the value that it is sorted by."""
    value = _COLUMNS.get(sort, Tag.name).label("value")
    query = select(Tag.name, Tag.digest, value).where(Tag.image_id == image.id)
    return list(map(_Tag._make, db.session.execute(query)))


def _sort(tags: list[_Tag], query: Query, image_id: int) -> None:
    descending = query.order == "desc"
    tags.sort(key=lambda tag: version_key(tag.name), reverse=descending)
    if query.sort == "name":
        return
    if query.sort == "size":
        sizes = sizes_of(
            db.session(), select(Tag.image_id, Tag.digest).where(Tag.image_id == image_id)
        )
        values = {tag.name: sizes.get((image_id, tag.digest)) for tag in tags}
    else:
        values = {tag.name: tag.value for tag in tags}
    # What is not known comes last, whichever way the rest is sorted.
    tags[:] = [
        *sorted(
            (tag for tag in tags if values[tag.name] is not None),
            key=lambda tag: values[tag.name],
            reverse=descending,
        ),
        *(tag for tag in tags if values[tag.name] is None),
    ]


@dataclass(frozen=True, slots=True)
class _Every:
    """All tags of an image, and which of them speak of which digest."""

    tags: Sequence[_Tag]
    folded: dict[str, list[str]]


def _rows(
    image: ContainerImage, host: str, visible: Sequence[_Tag], every: _Every, *, ask: bool
) -> list[TagRow]:
    """Return rows of the visible tags, with what all tags of the image say of each other.

    Args:
        ask: whether the registry is asked for what the store lacks of them.
    """
    attached = {tag.digest: every.folded.get(tag.digest, []) for tag in visible}
    telling = [n for names in attached.values() for n in names if not n.endswith(_NAME_TELLS)]
    names = [tag.name for tag in visible]
    query = select(Tag).where(Tag.image_id == image.id, Tag.name.in_([*names, *telling]))
    tags = {tag.name: tag for tag in db.session.scalars(query)}
    problems = learn(image, tags.values()) if ask else {}
    digests = {tag.name: tag.digest for tag in (*every.tags, *tags.values())}
    manifests = known(tag.digest for tag in tags.values() if tag.digest)
    children = children_of(image.path, manifests.values())
    same = _same(digests, {tag.digest for tag in tags.values()})
    rows = []
    for name in filter(tags.__contains__, names):
        row = TagRow.of(tags[name])
        row.folded = sorted(attached.get(row.digest, []))
        row.same_as = [other for other in same.get(row.digest, []) if other != name]
        describe(row, manifests.get(row.digest or ""), children)
        mark(row, {other: digests[other] for other in row.folded}, {**children, **manifests})
        row.pull_command = pull_command(row.kind, f"{host}/{image.path}", name)
        row.problem = problems.get(name)
        rows.append(row)
    return rows


def _same(
    digests: Mapping[str, str | None], wanted: Collection[str | None]
) -> dict[str, list[str]]:
    """Return the tags of each of the wanted digests, in the order of versions."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, digest in digests.items():
        if digest is not None and digest in wanted:
            found[digest].append(name)
    return {digest: sorted(names, key=version_key) for digest, names in found.items()}


def learn(image: ContainerImage, tags: Iterable[Tag]) -> dict[str, str]:
    """Fetch what the store lacks of these tags; note digests that were not known.

    Returns what went wrong, by tag.
    """
    every = list(tags)
    found = gather(RepositoryName(image.path), {tag.name: tag.digest for tag in every})
    unknown = [tag for tag in every if tag.digest is None and tag.name in found.digests]
    if unknown:
        with writing() as session:
            for tag in unknown:
                tag.digest = found.digests[tag.name]
                session.add(tag)
    return {name: str(problem) for name, problem in found.problems.items()}
