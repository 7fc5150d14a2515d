"""Search by a part of a name, among the objects that a principal is allowed to see.

A search is a constant number of queries of bounded work. An index finds tags that begin with the
text. Tags that only contain it are searched among the newest ones, so that a search does not
become slower as the number of tags grows. Both take a limited number of candidates before they
check visibility. If the principal can see only few images, those are searched completely instead,
so that no hit is missed (``make bench-search``).
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

#: Character that sorts after every character that a tag or a digest can contain.
_LAST = "\x7f"
#: Minimum number of characters to search for inside the names of tags.
LEAST_PART = 2
#: Number of the newest tags whose names are searched for a part.
NEWEST = 100_000
#: Maximum number of matching tags whose visibility is checked.
CANDIDATES = 5_000
#: Maximum number of visible images whose tags are all searched.
FEW = 1_000


@dataclass(frozen=True, slots=True)
class PlaceHit:
    """A namespace or project that a search has found."""

    path: str
    description: str
    visibility: str | None = None


@dataclass(frozen=True, slots=True)
class ImageHit:
    """An image that a search has found, with the path of its project."""

    project_path: str
    name: str
    path: str
    tag_count: int
    last_push_at: datetime | None


@dataclass(frozen=True, slots=True)
class TagHit:
    """A tag that a search has found, with its image and project."""

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
    """The first hits of one kind, best first, and whether there are more."""

    rows: Sequence[T] = ()
    more: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of a search, by kind."""

    namespaces: Hits[PlaceHit] = field(default_factory=Hits)
    projects: Hits[PlaceHit] = field(default_factory=Hits)
    images: Hits[ImageHit] = field(default_factory=Hits)
    tags: Hits[TagHit] = field(default_factory=Hits)

    @property
    def kinds(self) -> dict[str, Hits[Any]]:
        """The hits of each kind, by the name that the kind has in URLs and in the API."""
        return {
            "namespaces": self.namespaces,
            "projects": self.projects,
            "images": self.images,
            "tags": self.tags,
        }

    @property
    def only(self) -> Any:
        """The only hit of the search; None if there is no hit or more than one."""
        every = [hit for hits in self.kinds.values() for hit in hits]
        return every[0] if len(every) == 1 else None


class Finder:
    """A search among the objects that one principal is allowed to see."""

    def __init__(self, session: Session, principal: Principal) -> None:
        self._session = session
        self._projects = visible_places(session, principal, Project)
        self._namespaces = _seen_namespaces(session, principal)
        self._images = self._projects
        if principal.reach is not None:
            # A token can be restricted to one image, so its path is compared, not the project's.
            anywhere = visible_places(session, replace(principal, reach=None), Project)
            self._images = and_(anywhere, reached(ContainerImage.path, principal.reach))

    def find(self, query: SearchQuery, limit: int, kind: str = "") -> SearchResult:
        """Return the best hits for a query.

        Args:
            query: the parsed search text.
            limit: maximum number of hits of each kind.
            kind: a key of SearchResult.kinds to search for that kind only; "" for all kinds.
        """
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
        """Return the hit that a complete reference names; None if it names none or several.

        An old path of a move stands for the current path.
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
        """Return the visible project, namespace or image at a path, or None."""
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
        """Return tags by the beginning of their digest or name, then by a part of the name."""
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
                # Signatures and attestations are tags too, but users do not search for them.
                .where(*_all_in(ContainerImage.path, query.image_words), ~attached())
                .order_by(order, ContainerImage.path)
                .limit(limit + 1)
            )
            found |= {h.id: h for h in self._tag_hits(statement) if h.id not in found}
        return _cut(list(found.values()), limit)

    def _few_images(self, query: SearchQuery) -> list[int] | None:
        """Return the IDs of visible images that match the query; None if they are more than FEW."""
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
    """Match the namespaces that the principal can see.

    These are the ones where they have a role or can see a project, and all for an administrator
    without a path restriction.
    """
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
    """Yield conditions that match the tags that lead to a digest, given its beginning.

    The digest can be that of a platform's manifest in an index, an earlier digest of the tag, or
    an image ID, which is the digest of a config, also of a platform's image.
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
    """Return the rank of a path for a name, lowest first.

    0 if the name is the whole path, 1 if it is the end of the path, 2 if the path or one of its
    segments begins with it, and otherwise 3.
    """
    return case(
        (path == name, 0),
        (path.endswith("/" + name, autoescape=True), 1),
        (or_(path.startswith(name, autoescape=True), _has(path, "/" + name)), 2),
        else_=3,
    )


def _cut(rows: list[T], limit: int) -> Hits[T]:
    return Hits(rows[:limit], len(rows) > limit)
