"""Search by a part of a name, among the objects that a principal is allowed to see.

A search runs a constant number of queries, each with bounded work. Tags that begin with the text
are found with a database index. Tags that only contain the text are found among the newest tags,
so that searches do not become slower as the number of tags grows. Visibility is checked for a
limited number of matching tags. If the principal can see only a few images, all tags of these
images are searched instead, so that no hit is missed (``make bench-search``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from ..access import Principal, visible_places
from ..access.lookup import find_old_path
from ..access.queries import within_restriction
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
_LAST_CHARACTER = "\x7f"
#: Minimum number of characters of a text that is searched for inside the names of tags.
MIN_PART_LENGTH = 2
#: Number of newest tags that are searched for names that contain the text.
MAX_NEWEST_TAGS = 100_000
#: Maximum number of matching tags whose visibility is checked.
MAX_CANDIDATES = 5_000
#: Maximum number of visible images for which all tags are searched.
MAX_SEARCHED_IMAGES = 1_000


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
    """A tag that a search has found, with the names of its image and project."""

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
    """The best hits of one kind, best first, and whether there are more hits."""

    rows: Sequence[T] = ()
    has_more: bool = False

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
        """The hits of each kind, by the name of the kind in URLs and in the API."""
        return {
            "namespaces": self.namespaces,
            "projects": self.projects,
            "images": self.images,
            "tags": self.tags,
        }

    @property
    def single_hit(self) -> Any:
        """The only hit of the search; None if there is no hit or more than one hit."""
        all_hits = [hit for hits in self.kinds.values() for hit in hits]
        return all_hits[0] if len(all_hits) == 1 else None


class Finder:
    """A search among the objects that one principal is allowed to see."""

    def __init__(self, session: Session, principal: Principal) -> None:
        self._session = session
        self._projects = visible_places(session, principal, Project)
        self._namespaces = _is_visible_namespace(session, principal)
        self._images = self._projects
        if principal.restriction is not None:
            # A token can be restricted to one image, so its path is compared, not the project's.
            unrestricted = visible_places(session, replace(principal, restriction=None), Project)
            self._images = and_(
                unrestricted, within_restriction(ContainerImage.path, principal.restriction)
            )

    def find(self, query: SearchQuery, limit: int, kind: str = "") -> SearchResult:
        """Return the best hits for a query.

        Args:
            query: the parsed search text.
            limit: maximum number of hits of each kind.
            kind: a key of SearchResult.kinds to search for that kind only; "" for all kinds.
        """
        searches: dict[str, Callable[[SearchQuery, int], Hits[Any]]] = {
            "namespaces": self._find_namespaces,
            "projects": self._find_projects,
            "images": self._find_images,
            "tags": self._find_tags,
        }
        return SearchResult(
            **{
                name: search(query, limit)
                for name, search in searches.items()
                if kind in ("", name)
            }
        )

    def exact_match(self, query: SearchQuery) -> Any:
        """Return the one visible object that a complete reference names; otherwise None.

        If a move has changed the path in the reference, the current path is searched for.
        """
        reference = query.reference
        if reference is None:
            return None
        hit = self._find_reference(str(reference.name), reference)
        if hit is None:
            old_path = find_old_path(self._session, str(reference.name))
            hit = (
                self._find_reference(old_path.new_path, reference) if old_path is not None else None
            )
        return hit

    def _find_reference(self, name: str, reference: Reference) -> Any:
        if reference.tag is None and reference.digest is None:
            return self._find_path(name)
        conditions: list[ColumnElement[bool]] = [ContainerImage.path == name]
        if reference.tag is not None:
            conditions.append(Tag.name == str(reference.tag))
        if reference.digest is not None:
            conditions.append(Tag.digest == str(reference.digest))
        hits = self._fetch_tags(self._select_tags().where(*conditions).limit(2))
        return hits[0] if len(hits) == 1 else None

    def _find_path(self, path: str) -> Any:
        """Return the visible project, namespace, or image at a path, or None."""
        for kind, visible in ((Project, self._projects), (Namespace, self._namespaces)):
            row = self._session.execute(
                _select_places(kind).where(kind.path == path, visible)
            ).first()
            if row:
                return PlaceHit(*row)
        row = self._session.execute(
            self._select_images().where(ContainerImage.path == path)
        ).first()
        return ImageHit(*row) if row else None

    # -- places and images -------------------------------------------------------

    def _find_namespaces(self, query: SearchQuery, limit: int) -> Hits[PlaceHit]:
        return self._find_places(Namespace, self._namespaces, query, limit)

    def _find_projects(self, query: SearchQuery, limit: int) -> Hits[PlaceHit]:
        return self._find_places(Project, self._projects, query, limit)

    def _find_places(
        self, kind: type[Place], visible: ColumnElement[bool], query: SearchQuery, limit: int
    ) -> Hits[PlaceHit]:
        if not query.words:
            return Hits()
        described = lowered(kind.description)
        statement = (
            _select_places(kind)
            .where(
                *(
                    or_(_contains(kind.path, word), _contains(described, word))
                    for word in query.words
                )
            )
            .where(visible)
            .order_by(_rank(kind.path, query.name), kind.path)
            .limit(limit + 1)
        )
        return _hits_from_rows([PlaceHit(*row) for row in self._session.execute(statement)], limit)

    def _find_images(self, query: SearchQuery, limit: int) -> Hits[ImageHit]:
        if not query.words:
            return Hits()
        path = ContainerImage.path
        statement = (
            self._select_images()
            .where(*(_contains(path, word) for word in query.words))
            .order_by(_rank(path, query.name), path)
            .limit(limit + 1)
        )
        return _hits_from_rows([ImageHit(*row) for row in self._session.execute(statement)], limit)

    def _select_images(self) -> AnySelect:
        image = ContainerImage
        return (
            select(Project.path, image.name, image.path, image.tag_count, image.last_push_at)
            .join(Project, Project.id == image.project_id)
            .where(self._images, is_listed())
        )

    # -- tags --------------------------------------------------------------------

    def _find_tags(self, query: SearchQuery, limit: int) -> Hits[TagHit]:
        """Return tags related to the digest, then tags that begin with or contain the text."""
        if not (query.tag or query.digest):
            return Hits()
        image_ids = self._fetch_image_ids(query)
        in_images = true() if image_ids is None else Tag.image_id.in_(image_ids)
        searches: list[tuple[ColumnElement[bool], Any]] = []
        if query.digest:
            searches.append((_begins_with(Tag.digest, query.digest), Tag.digest))
            searches += [(match, Tag.id.desc()) for match in _leads_to(query.digest)]
        if query.tag:
            searches.append((_begins_with(Tag.name, query.tag), Tag.name))
        if len(query.tag) >= MIN_PART_LENGTH:
            oldest_id = select(func.max(Tag.id) - MAX_NEWEST_TAGS).scalar_subquery()
            is_recent = Tag.id > oldest_id if image_ids is None else true()
            contains_tag = _contains(func.lower(Tag.name), query.tag.lower())
            searches.append((and_(contains_tag, is_recent), Tag.id.desc()))
        hits: dict[int, TagHit] = {}
        for condition, order in searches:
            candidates = (
                select(Tag.id).where(condition, in_images).order_by(order).limit(MAX_CANDIDATES)
            )
            ids = candidates.subquery()
            statement = (
                self._select_tags()
                .join(ids, ids.c.id == Tag.id)
                # Signatures and attestations are tags, too, but users do not search for them.
                .where(*_contains_all(ContainerImage.path, query.image_words), ~attached())
                .order_by(order, ContainerImage.path)
                .limit(limit + 1)
            )
            hits |= {h.id: h for h in self._fetch_tags(statement) if h.id not in hits}
        return _hits_from_rows(list(hits.values()), limit)

    def _fetch_image_ids(self, query: SearchQuery) -> list[int] | None:
        """Return the IDs of visible images that match the query; None if there are too many."""
        statement = (
            select(ContainerImage.id)
            .join(Project, Project.id == ContainerImage.project_id)
            .where(self._images, *_contains_all(ContainerImage.path, query.image_words))
            .limit(MAX_SEARCHED_IMAGES + 1)
        )
        ids = list(self._session.scalars(statement))
        return ids if len(ids) <= MAX_SEARCHED_IMAGES else None

    def _select_tags(self) -> AnySelect:
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

    def _fetch_tags(self, statement: AnySelect) -> list[TagHit]:
        return [TagHit(*row) for row in self._session.execute(statement)]


def _is_visible_namespace(session: Session, principal: Principal) -> ColumnElement[bool]:
    """Return an SQL condition for the namespaces that the principal can see.

    These are the namespaces in which the principal has a role or can see a project. Administrators
    without a path restriction can see all namespaces.
    """
    project = aliased(Project)
    is_below = (project.path >= Namespace.path + "/") & (project.path < Namespace.path + "0")
    is_visible = visible_places(session, principal, project)
    return or_(
        visible_places(session, principal, Namespace, members_only=True),
        true() if principal.is_admin and principal.restriction is None else false(),
        select(project.id).where(is_below, is_visible).correlate(Namespace).exists(),
    )


# -- statements and conditions ---------------------------------------------------


def _select_places(kind: type[Place]) -> AnySelect:
    return select(kind.path, kind.description, kind.visibility)


def _contains(column: Any, word: str) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column.contains(word, autoescape=True)
    return condition


def _contains_all(column: Any, words: Iterable[str]) -> list[ColumnElement[bool]]:
    return [_contains(column, word) for word in words]


def _begins_with(column: Any, text: str) -> ColumnElement[bool]:
    return and_(column >= text, column < text + _LAST_CHARACTER)


def _leads_to(digest: str) -> Iterator[ColumnElement[bool]]:
    """Yield SQL conditions for tags that are related to a digest, given the start of the digest.

    The digest can be that of a platform's manifest in the tag's OCI index, an earlier digest of the
    tag, or an image ID (the digest of a config) of the tag or one of its platforms.
    """
    parents = select(IndexChild.parent)
    yield Tag.digest.in_(parents.where(_begins_with(IndexChild.child, digest)))
    tag = aliased(Tag)
    is_same_tag = (TagHistoryEntry.image_id == tag.image_id) & (TagHistoryEntry.tag == tag.name)
    earlier = (
        select(tag.id)
        .join(TagHistoryEntry, is_same_tag)
        .where(_begins_with(TagHistoryEntry.digest, digest))
    )
    yield Tag.id.in_(earlier)
    images = select(Manifest.digest).where(_begins_with(Manifest.config_digest, digest))
    yield Tag.digest.in_(images)
    yield Tag.digest.in_(parents.where(IndexChild.child.in_(images)))


def _rank(path: Any, name: str) -> ColumnElement[int]:
    """Return an SQL expression for how well a path matches a name, from 0 (best) to 3.

    It is 0 if the name is the whole path, 1 if the path ends with the name, 2 if the path or one of
    its segments begins with the name, and otherwise 3.
    """
    return case(
        (path == name, 0),
        (path.endswith("/" + name, autoescape=True), 1),
        (or_(path.startswith(name, autoescape=True), _contains(path, "/" + name)), 2),
        else_=3,
    )


def _hits_from_rows(rows: list[T], limit: int) -> Hits[T]:
    return Hits(rows[:limit], len(rows) > limit)
