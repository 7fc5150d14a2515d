"""Finds what is visible by a part of its name: a constant number of queries, all of bounded work.

What begins with the text is found by an index. What only contains it is looked for among
the newest tags, so that no search takes longer because there are ever more of them. Both look
at so many candidates at most and then at who may see them; but whoever sees few images is
searched for in those alone, and misses nothing (``make bench-search``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from ..access import Principal, visible_places
from ..access.lookup import former_name
from ..access.queries import reached
from ..catalog.images import attached, is_listed
from ..db.prepared import lowered
from ..db.statements import AnySelect
from ..models import (
    ContainerImage,
    IndexChild,
    Manifest,
    Namespace,
    Place,
    Project,
    Tag,
    TagHistoryEntry,
)
from ..names import Reference
from .query import SearchQuery

T = TypeVar("T")

#: Comes after every character that a tag or a digest may hold.
_LAST = "\x7f"
#: A part of a name is looked for from so many characters on, and in so many of the newest tags.
LEAST_PART = 2
NEWEST = 100_000
#: So many that fit are asked for their visibility.
CANDIDATES = 5_000
#: Whoever sees no more images than these sees few.
FEW = 1_000


@dataclass(frozen=True, slots=True)
class PlaceHit:
    """A namespace or a project."""

    path: str
    description: str
    visibility: str | None = None


@dataclass(frozen=True, slots=True)
class ImageHit:
    """An image, and the project that it is of."""

    project_path: str
    name: str
    path: str
    tag_count: int
    last_push_at: datetime | None


@dataclass(frozen=True, slots=True)
class TagHit:
    """A tag, and the image that it is of."""

    id: int
    project_path: str
    image_name: str
    repository: str
    name: str
    digest: str | None
    pushed_at: datetime | None
    pushed_by: str | None


@dataclass(frozen=True, slots=True)
class Hits(Generic[T]):
    """The first that were found of one kind, the best first, and whether there are more."""

    rows: Sequence[T] = ()
    more: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found, by kind."""

    namespaces: Hits[PlaceHit] = field(default_factory=Hits)
    projects: Hits[PlaceHit] = field(default_factory=Hits)
    images: Hits[ImageHit] = field(default_factory=Hits)
    tags: Hits[TagHit] = field(default_factory=Hits)

    @property
    def kinds(self) -> dict[str, Hits[Any]]:
        """The kinds by the names that addresses and the API have for them."""
        return {
            "namespaces": self.namespaces,
            "projects": self.projects,
            "images": self.images,
            "tags": self.tags,
        }

    @property
    def only(self) -> Any:
        """The one thing that was found; None for nothing, and for more."""
        every = [hit for hits in self.kinds.values() for hit in hits]
        return every[0] if len(every) == 1 else None


class Finder:
    """Searches what one principal may see."""

    def __init__(self, session: Session, principal: Principal) -> None:
        self._session = session
        self._projects = visible_places(session, principal, Project)
        self._namespaces = _seen_namespaces(session, principal)
        self._images = self._projects
        if principal.reach is not None:
            # A token may be bound to one image: that is asked of the image, not of its project.
            anywhere = visible_places(session, replace(principal, reach=None), Project)
            self._images = and_(anywhere, reached(ContainerImage.path, principal.reach))

    def find(self, query: SearchQuery, limit: int, kind: str = "") -> SearchResult:
        """Return the first of each kind that the query may mean; of one kind where it is named."""
        seekers: dict[str, Callable[[SearchQuery, int], Hits[Any]]] = {
            "namespaces": self._namespaces_like,
            "projects": self._projects_like,
            "images": self._images_like,
            "tags": self._tags_like,
        }
        return SearchResult(
            **{name: seek(query, limit) for name, seek in seekers.items() if kind in ("", name)}
        )

    def meant(self, query: SearchQuery) -> Any:
        """Return the one thing that a whole reference names; None for none, and for several.

        A name that was given up for another one in a move stands for that one.
        """
        reference = query.reference
        if reference is None:
            return None
        found = self._named(str(reference.name), reference)
        if found is None:
            former = former_name(self._session, str(reference.name))
            found = self._named(former.now, reference) if former is not None else None
        return found

    def _named(self, name: str, reference: Reference) -> Any:
        if reference.tag is None and reference.digest is None:
            return self._at(name)
        where: list[ColumnElement[bool]] = [ContainerImage.path == name]
        if reference.tag is not None:
            where.append(Tag.name == str(reference.tag))
        if reference.digest is not None:
            where.append(Tag.digest == str(reference.digest))
        found = self._tag_hits(self._tags().where(*where).limit(2))
        return found[0] if len(found) == 1 else None

    def _at(self, path: str) -> Any:
        """Return the project, namespace or image that stands at a path and may be seen."""
        for kind, visible in ((Project, self._projects), (Namespace, self._namespaces)):
            row = self._session.execute(_place(kind).where(kind.path == path, visible)).first()
            if row:
                return PlaceHit(*row)
        row = self._session.execute(self._image().where(ContainerImage.path == path)).first()
        return ImageHit(*row) if row else None

    # -- places and images -------------------------------------------------------

    def _namespaces_like(self, query: SearchQuery, limit: int) -> Hits[PlaceHit]:
        return self._places_like(Namespace, self._namespaces, query, limit)

    def _projects_like(self, query: SearchQuery, limit: int) -> Hits[PlaceHit]:
        return self._places_like(Project, self._projects, query, limit)

    def _places_like(
        self, kind: type[Place], visible: ColumnElement[bool], query: SearchQuery, limit: int
    ) -> Hits[PlaceHit]:
        if not query.words:
            return Hits()
        described = lowered(kind.description)
        statement = (
            _place(kind)
            .where(*(or_(_has(kind.path, word), _has(described, word)) for word in query.words))
            .where(visible)
            .order_by(_rank(kind.path, query.name), kind.path)
            .limit(limit + 1)
        )
        return _cut([PlaceHit(*row) for row in self._session.execute(statement)], limit)

    def _images_like(self, query: SearchQuery, limit: int) -> Hits[ImageHit]:
        if not query.words:
            return Hits()
        path = ContainerImage.path
        statement = (
            self._image()
            .where(*(_has(path, word) for word in query.words))
            .order_by(_rank(path, query.name), path)
            .limit(limit + 1)
        )
        return _cut([ImageHit(*row) for row in self._session.execute(statement)], limit)

    def _image(self) -> AnySelect:
        image = ContainerImage
        return (
            select(Project.path, image.name, image.path, image.tag_count, image.last_push_at)
            .join(Project, Project.id == image.project_id)
            .where(self._images, is_listed())
        )

    # -- tags --------------------------------------------------------------------

    def _tags_like(self, query: SearchQuery, limit: int) -> Hits[TagHit]:
        """Find tags by the beginning of their digest or name, then by a part of the name."""
        if not (query.tag or query.digest):
            return Hits()
        few = self._few_images(query)
        near = true() if few is None else Tag.image_id.in_(few)
        steps: list[tuple[ColumnElement[bool], Any]] = []
        if query.digest:
            steps.append((_begins(Tag.digest, query.digest), Tag.digest))
            steps += [(meant, Tag.id.desc()) for meant in _reaching(query.digest)]
        if query.tag:
            steps.append((_begins(Tag.name, query.tag), Tag.name))
        if len(query.tag) >= LEAST_PART:
            newest = select(func.max(Tag.id) - NEWEST).scalar_subquery()
            recent = Tag.id > newest if few is None else true()
            part = _has(func.lower(Tag.name), query.tag.lower())
            steps.append((and_(part, recent), Tag.id.desc()))
        found: dict[int, TagHit] = {}
        for condition, order in steps:
            candidates = select(Tag.id).where(condition, near).order_by(order).limit(CANDIDATES)
            ids = candidates.subquery()
            statement = (
                self._tags()
                .join(ids, ids.c.id == Tag.id)
                # Signatures and the like are tags too, but not what people look for.
                .where(*_all_in(ContainerImage.path, query.image_words), ~attached())
                .order_by(order, ContainerImage.path)
                .limit(limit + 1)
            )
            found |= {h.id: h for h in self._tag_hits(statement) if h.id not in found}
        return _cut(list(found.values()), limit)

    def _few_images(self, query: SearchQuery) -> list[int] | None:
        """Return the images that may be meant and seen, if they are few; None for many."""
        statement = (
            select(ContainerImage.id)
            .join(Project, Project.id == ContainerImage.project_id)
            .where(self._images, *_all_in(ContainerImage.path, query.image_words))
            .limit(FEW + 1)
        )
        found = list(self._session.scalars(statement))
        return found if len(found) <= FEW else None

    def _tags(self) -> AnySelect:
        image = ContainerImage
        return (
            select(
                Tag.id,
                Project.path,
                image.name,
                image.path,
                Tag.name,
                Tag.digest,
                Tag.pushed_at,
                Tag.pushed_by,
            )
            .join(image, image.id == Tag.image_id)
            .join(Project, Project.id == image.project_id)
            .where(self._images)
        )

    def _tag_hits(self, statement: AnySelect) -> list[TagHit]:
        return [TagHit(*row) for row in self._session.execute(statement)]


def _seen_namespaces(session: Session, principal: Principal) -> ColumnElement[bool]:
    """Match namespaces that are the principal's own or hold something that they may see."""
    inside = aliased(Project)
    below = (inside.path >= Namespace.path + "/") & (inside.path < Namespace.path + "0")
    seen = visible_places(session, principal, inside)
    return or_(
        visible_places(session, principal, Namespace, members_only=True),
        true() if principal.is_admin and principal.reach is None else false(),
        select(inside.id).where(below, seen).correlate(Namespace).exists(),
    )


# -- statements and conditions ---------------------------------------------------


def _place(kind: type[Place]) -> AnySelect:
    return select(kind.path, kind.description, kind.visibility)


def _has(column: Any, word: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column.contains(word, autoescape=True)
    return found


def _all_in(column: Any, words: Iterable[str]) -> list[ColumnElement[bool]]:
    return [_has(column, word) for word in words]


def _begins(column: Any, text: str) -> ColumnElement[bool]:
    return and_(column >= text, column < text + _LAST)


def _reaching(digest: str) -> Iterator[ColumnElement[bool]]:
    """Yield what matches the tags that reach a digest, given by its beginning.

    It may be that of a platform, an earlier one of the tag, or an image ID, which is the
    digest of a configuration, also that of a platform.
    """
    listed = select(IndexChild.parent)
    yield Tag.digest.in_(listed.where(_begins(IndexChild.child, digest)))
    tag = aliased(Tag)
    here = (TagHistoryEntry.image_id == tag.image_id) & (TagHistoryEntry.tag == tag.name)
    earlier = (
        select(tag.id).join(TagHistoryEntry, here).where(_begins(TagHistoryEntry.digest, digest))
    )
    yield Tag.id.in_(earlier)
    images = select(Manifest.digest).where(_begins(Manifest.config_digest, digest))
    yield Tag.digest.in_(images)
    yield Tag.digest.in_(listed.where(IndexChild.child.in_(images)))


def _rank(path: Any, name: str) -> ColumnElement[int]:
    """Sort by how much of the path is meant: all of it, its last part, the beginning of a part."""
    return case(
        (path == name, 0),
        (path.endswith("/" + name, autoescape=True), 1),
        (or_(path.startswith(name, autoescape=True), _has(path, "/" + name)), 2),
        else_=3,
    )


def _cut(rows: list[T], limit: int) -> Hits[T]:
    return Hits(rows[:limit], len(rows) > limit)
