"""Queries for lists of projects, namespaces, images, pushes, and members.

Each function runs a constant number of SQL queries for any number of rows. A place is a namespace
or a project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Subquery, and_, false, func, or_, select
from sqlalchemy.orm import Session, aliased

from ..access import Principal, Role, at_or_below, below, path_accesses, visible_places
from ..access.lookup import prefixes
from ..access.queries import below_own, within_restriction
from ..catalog.images import attached, is_listed
from ..catalog.tree import ImageRow
from ..db.prepared import lowered
from ..models import ContainerImage, Membership, Namespace, Place, Project, Tag, User
from ..pagination import PER_PAGE, Page
from ..tags.sizes import newest_sizes

MAX_RECENT_PUSHES = 10
#: Maximum number of namespaces offered as a parent; the form's URL can name any namespace.
MAX_PARENTS = 1000


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project in a list; ``role`` is the label of the viewer's role, or None for no role."""

    path: str
    name: str
    description: str
    visibility: str
    role: str | None
    image_count: int
    tag_count: int
    last_push_at: datetime | None


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A namespace in a list; ``project_count`` counts only projects that the viewer can see."""

    path: str
    name: str
    description: str
    is_personal: bool
    project_count: int


@dataclass(frozen=True, slots=True)
class NamespacePage:
    """One page of a list of namespaces: its rows and its position in the list."""

    rows: list[NamespaceRow]
    page: Page

    def __iter__(self) -> Iterator[NamespaceRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class PushRow:
    """A recently pushed tag in a list."""

    project_path: str
    image_name: str
    repository: str
    tag: str
    digest: str | None
    pushed_by: str | None
    pushed_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a place in a list.

    Attributes:
        username: the name of the user.
        role: the label of the role.
        role_value: the name of the role in forms and in the API.
        source: path of the namespace from which the role is inherited; None for a direct member.
        is_fixed: whether the user is Owner of their personal namespace, which can't be changed.
    """

    username: str
    role: str
    role_value: str
    source: str | None
    is_fixed: bool


def projects(
    session: Session,
    principal: Principal,
    condition: ColumnElement[bool],
    q: str = "",
    number: int = 1,
) -> tuple[list[ProjectRow], Page]:
    """Return a page of the projects that match the condition and text and that the viewer can see.

    Args:
        session: the database session.
        principal: the viewer.
        condition: SQL condition on Project.
        q: text to find in the path or the description; empty for any text.
        number: the page number, from 1.

    Raises:
        NoSuchPage: the list has fewer pages.
    """
    where = [visible_places(session, principal), condition]
    if q:
        where.append(_contains(q))
    total = session.scalar(select(func.count()).select_from(Project).where(*where)) or 0
    page = Page.of(number, total)
    counts = _image_counts()
    query = (
        select(Project, counts.c.images, counts.c.tags, counts.c.pushed)
        .outerjoin(counts, counts.c.project_id == Project.id)
        .where(*where)
        .order_by(Project.path)
        .limit(PER_PAGE)
        .offset(page.offset)
    )
    rows = session.execute(query).all()
    roles = _load_role_labels(session, principal, [row.Project.path for row in rows])
    return [_row_from_project(row, roles[row.Project.path]) for row in rows], page


def _row_from_project(row: Any, role: str | None) -> ProjectRow:
    return ProjectRow(
        path=row.Project.path,
        name=row.Project.name,
        description=row.Project.description,
        visibility=row.Project.visibility or "",
        role=role,
        image_count=row.images or 0,
        tag_count=row.tags or 0,
        last_push_at=row.pushed,
    )


def _contains(text: str) -> ColumnElement[bool]:
    """Return the SQL condition for projects whose path or description contains a text."""
    text = text.lower()
    return or_(
        Project.path.contains(text, autoescape=True),
        lowered(Project.description).contains(text, autoescape=True),
    )


def _image_counts() -> Subquery:
    """Return a subquery: numbers of images and tags, and time of the last push, of each project."""
    return (
        select(
            ContainerImage.project_id,
            func.count().label("images"),
            func.sum(ContainerImage.tag_count).label("tags"),
            func.max(ContainerImage.last_push_at).label("pushed"),
        )
        .where(is_listed())
        .group_by(ContainerImage.project_id)
        .subquery()
    )


def _load_role_labels(
    session: Session, principal: Principal, paths: list[str]
) -> dict[str, str | None]:
    if principal.is_anonymous:
        return dict.fromkeys(paths)
    accesses = path_accesses(session, principal, paths)
    return {path: access.role.label if access.role else None for path, access in accesses.items()}


def namespaces(
    session: Session, principal: Principal, parent: Place | None, number: int = 1
) -> NamespacePage:
    """Return a page of the namespaces directly in ``parent`` that the viewer can see.

    The viewer's personal namespace comes first. The list is paginated, not cut off, because a user
    could fill a limited list for others by adding them as members to hundreds of new namespaces.

    Args:
        session: the database session.
        principal: the viewer.
        parent: the parent namespace; None for the top level.
        number: the page number, from 1.
    """
    count = _count_visible_projects(session, principal)
    is_member = visible_places(session, principal, Namespace, members_only=True)
    is_shared = Namespace.owner_id.is_(None) if principal.is_admin else false()
    where = (
        Namespace.parent_id == parent.id if parent else Namespace.parent_id.is_(None),
        (count > 0) | is_member | is_shared,
    )
    total = session.scalar(select(func.count()).select_from(Namespace).where(*where)) or 0
    page = Page.of(number, total, name="groups")
    personal = func.coalesce(Namespace.owner_id == (principal.user_id or 0), false())
    query = (
        select(Namespace, count.label("project_count"))
        .where(*where)
        .order_by(personal.desc(), Namespace.path)
        .limit(PER_PAGE)
        .offset(page.offset)
    )
    return NamespacePage([_row_from_namespace(row) for row in session.execute(query)], page)


def _row_from_namespace(row: Any) -> NamespaceRow:
    return NamespaceRow(
        path=row.Namespace.path,
        name=row.Namespace.name,
        description=row.Namespace.description,
        is_personal=row.Namespace.is_personal,
        project_count=row.project_count,
    )


def _count_visible_projects(session: Session, principal: Principal) -> ScalarSelect[int]:
    """Return an SQL expression for the number of projects that a viewer can see in a namespace.

    Projects at any level below the namespace count. The expression is for queries on Namespace.
    """
    project = aliased(Project)
    is_visible = visible_places(session, principal, project)
    is_below = (project.path >= Namespace.path + "/") & (project.path < Namespace.path + "0")
    return select(func.count()).select_from(project).where(is_visible, is_below).scalar_subquery()


def recent_pushes(
    session: Session, principal: Principal, condition: ColumnElement[bool]
) -> list[PushRow]:
    """Return the latest pushed tags in those matching projects that the viewer can see.

    Args:
        session: the database session.
        principal: the viewer.
        condition: SQL condition on Project.
    """
    query = (
        select(Tag, ContainerImage, Project.path.label("project_path"))
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(Tag.pushed_at.is_not(None), visible_places(session, principal), condition)
        # Referrer tags, such as signatures, are left out, because users do not look for them.
        .where(~attached())
        .order_by(Tag.pushed_at.desc(), Tag.id.desc())
        .limit(MAX_RECENT_PUSHES)
    )
    return [
        PushRow(
            project_path=row.project_path,
            image_name=row.ContainerImage.name,
            repository=row.ContainerImage.path,
            tag=row.Tag.name,
            digest=row.Tag.digest,
            pushed_by=row.Tag.pushed_by,
            pushed_at=row.Tag.pushed_at,
        )
        for row in session.execute(query)
    ]


def within(path: str) -> ColumnElement[bool]:
    """Return an SQL condition for the projects below the namespace at ``path``."""
    return below(Project.path, path)


def images(session: Session, project: Place) -> list[ImageRow]:
    """Return all images of a project, without sizes."""
    query = select(ContainerImage).where(ContainerImage.project_id == project.id, is_listed())
    return [image_row(image) for image in session.scalars(query)]


def sized_images(session: Session, project: Place, name: str | None = None) -> list[ImageRow]:
    """Return the images of a project; the size of an image is that of its tag pushed last.

    Args:
        session: the database session.
        project: the project.
        name: include only the image with this name and images below it; None for all images. The
            empty name is the root image, which has no images below it.
    """
    condition = and_(ContainerImage.project_id == project.id, is_listed())
    if name is not None:
        condition = and_(condition, at_or_below(ContainerImage.name, name))
    query = select(
        ContainerImage.id,
        ContainerImage.name,
        ContainerImage.path,
        ContainerImage.tag_count,
        ContainerImage.last_push_at,
        ContainerImage.last_pushed_by,
        ContainerImage.pull_count,
    )
    sizes = newest_sizes(session, condition)
    return [
        ImageRow(name, path, tag_count, last_push_at, last_push_by, pull_count, sizes.get(image_id))
        for image_id, name, path, tag_count, last_push_at, last_push_by, pull_count in (
            session.execute(query.where(condition))
        )
    ]


def repositories(session: Session, principal: Principal, last: str, limit: int) -> list[str]:
    """Return the names of the repositories that the principal can pull from, in byte order.

    Args:
        session: the database session.
        principal: the user or token.
        last: the list starts after this name; empty to start with the first repository.
        limit: maximum number of repositories.
    """
    # A token can be limited to one image, so its path restriction is applied to the image, not to
    # its project.
    unrestricted = replace(principal, restriction=None)
    can_pull = visible_places(session, unrestricted, Project, minimum=Role.REPORTER)
    query = (
        select(ContainerImage.path)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(can_pull, ContainerImage.path > last, is_listed())
        .order_by(ContainerImage.path)
        .limit(limit)
    )
    if principal.restriction is not None:
        query = query.where(within_restriction(ContainerImage.path, principal.restriction))
    return list(session.scalars(query))


def image_row(image: ContainerImage) -> ImageRow:
    """Return a list row for an image, without its size."""
    return ImageRow(
        name=image.name,
        path=image.path,
        tag_count=image.tag_count,
        last_push_at=image.last_push_at,
        last_push_by=image.last_pushed_by,
        pull_count=image.pull_count,
    )


def members(session: Session, place: Place) -> list[MemberRow]:
    """Return the direct members of a place, then those inherited from namespaces above it."""
    paths = prefixes(place.path)
    query = (
        select(User.username, Membership.role, Place.path)
        .join(Membership, Membership.user_id == User.id)
        .join(Place, Place.id == Membership.place_id)
        .where(Place.path.in_(paths))
    )
    owners = (
        select(User.username, Place.path)
        .join(Place, Place.owner_id == User.id)
        .where(Place.path.in_(paths))
    )
    rows = [(name, Role(role), path, False) for name, role, path in session.execute(query)]
    rows += [(name, Role.OWNER, path, True) for name, path in session.execute(owners)]
    return [
        MemberRow(name, role.label, role.name.lower(), None if path == place.path else path, fixed)
        for name, role, path, fixed in sorted(
            rows, key=lambda member: (member[2] != place.path, -member[1], member[0])
        )
    ]


def creatable_parents(session: Session, principal: Principal) -> list[str]:
    """Return the paths of the namespaces in which the principal can create a place.

    The personal namespace comes first.
    """
    personal = func.coalesce(Namespace.owner_id == (principal.user_id or 0), false())
    query = select(Namespace.path).order_by(personal.desc(), Namespace.path).limit(MAX_PARENTS)
    if not principal.is_admin:
        query = query.where(below_own(session, principal, Namespace, Role.MAINTAINER))
    return list(session.scalars(query))
