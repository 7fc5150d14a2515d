"""What lists and trees show: a constant number of queries, whatever there is to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, func, or_, select
from sqlalchemy.orm import Session, aliased

from ..access import Principal, Role, at_or_below, below, path_accesses, visible_places
from ..access.lookup import prefixes
from ..access.queries import below_own, reached
from ..catalog.images import attached, is_listed
from ..catalog.tree import ImageRow
from ..db.prepared import lowered
from ..models import ContainerImage, Membership, Namespace, Place, Project, Tag, User
from ..pagination import PER_PAGE, Page
from ..tags.sizes import newest_sizes

RECENT = 10
#: So many namespaces are offered for a choice; any other can be named in the address.
PARENTS = 1000


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project as lists show it."""

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
    """A namespace as lists show it; ``project_count`` counts what the viewer may see."""

    path: str
    name: str
    description: str
    is_personal: bool
    project_count: int


@dataclass(frozen=True, slots=True)
class NamespacePage:
    """A page of namespaces."""

    rows: list[NamespaceRow]
    page: Page

    def __iter__(self) -> Iterator[NamespaceRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class PushRow:
    """A recent push."""

    project_path: str
    image_name: str
    repository: str
    tag: str
    digest: str | None
    pushed_by: str | None
    pushed_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member; ``source`` is the path the role is inherited from, None for a direct one.

    ``is_fixed`` for the user whose personal namespace it is: their role can't be changed.
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
    """Return a page of the projects that match and that the principal may see."""
    visible = visible_places(session, principal)
    where = [visible, condition]
    if q:
        text = q.lower()
        where.append(
            or_(
                Project.path.contains(text, autoescape=True),
                lowered(Project.description).contains(text, autoescape=True),
            )
        )
    total = session.scalar(select(func.count()).select_from(Project).where(*where)) or 0
    page = Page.of(number, total)
    counts = (
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
    query = (
        select(Project, counts.c.images, counts.c.tags, counts.c.pushed)
        .outerjoin(counts, counts.c.project_id == Project.id)
        .where(*where)
        .order_by(Project.path)
        .limit(PER_PAGE)
        .offset(page.offset)
    )
    found = session.execute(query).all()
    roles = _roles(session, principal, [row.Project.path for row in found])
    rows = [
        ProjectRow(
            path=row.Project.path,
            name=row.Project.name,
            description=row.Project.description,
            visibility=row.Project.visibility or "",
            role=roles[row.Project.path],
            image_count=row.images or 0,
            tag_count=row.tags or 0,
            last_push_at=row.pushed,
        )
        for row in found
    ]
    return rows, page


def _roles(session: Session, principal: Principal, paths: list[str]) -> dict[str, str | None]:
    if principal.is_anonymous:
        return dict.fromkeys(paths)
    found = path_accesses(session, principal, paths)
    return {path: s.role.label if s.role else None for path, s in found.items()}


def namespaces(
    session: Session, principal: Principal, parent: Place | None, number: int = 1
) -> NamespacePage:
    """Return a page of the namespaces in ``parent`` (at the top for None) that may be seen.

    The principal's own comes first. The rest is paged, not cut: whoever makes hundreds of
    groups and members of them must not push anyone's out of view.
    """
    inside = aliased(Project)
    visible_inside = visible_places(session, principal, inside)
    below_it = (inside.path >= Namespace.path + "/") & (inside.path < Namespace.path + "0")
    count = (
        select(func.count()).select_from(inside).where(visible_inside, below_it).scalar_subquery()
    )
    own = visible_places(session, principal, Namespace, members_only=True)
    everything = Namespace.owner_id.is_(None) if principal.is_admin else false()
    where = (
        Namespace.parent_id == parent.id if parent else Namespace.parent_id.is_(None),
        (count > 0) | own | everything,
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
    rows = [
        NamespaceRow(
            path=row.Namespace.path,
            name=row.Namespace.name,
            description=row.Namespace.description,
            is_personal=row.Namespace.is_personal,
            project_count=row.project_count,
        )
        for row in session.execute(query)
    ]
    return NamespacePage(rows, page)


def recent_pushes(
    session: Session, principal: Principal, condition: ColumnElement[bool]
) -> list[PushRow]:
    """Return the latest pushes in projects that match and that the principal may see."""
    query = (
        select(Tag, ContainerImage, Project.path.label("project_path"))
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(Tag.pushed_at.is_not(None), visible_places(session, principal), condition)
        # Signatures and the like are tags too, but not what people look for.
        .where(~attached())
        .order_by(Tag.pushed_at.desc(), Tag.id.desc())
        .limit(RECENT)
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
    """Match the projects below a namespace."""
    return below(Project.path, path)


def images(session: Session, project: Place) -> list[ImageRow]:
    """Return every image of a project, without sizes."""
    query = select(ContainerImage).where(ContainerImage.project_id == project.id, is_listed())
    return [image_row(image) for image in session.scalars(query)]


def sized_images(session: Session, project: Place, name: str | None = None) -> list[ImageRow]:
    """Return the images of a project with their sizes; those at and below a name, if given.

    Below the empty name is nothing: that is the root image alone.
    """
    which = and_(ContainerImage.project_id == project.id, is_listed())
    if name is not None:
        which = and_(which, at_or_below(ContainerImage.name, name))
    query = select(
        ContainerImage.id,
        ContainerImage.name,
        ContainerImage.path,
        ContainerImage.tag_count,
        ContainerImage.last_push_at,
        ContainerImage.last_pushed_by,
        ContainerImage.pull_count,
    )
    sizes = newest_sizes(session, which)
    return [
        ImageRow(name, path, tag_count, last_push_at, last_push_by, pull_count, sizes.get(image_id))
        for image_id, name, path, tag_count, last_push_at, last_push_by, pull_count in (
            session.execute(query.where(which))
        )
    ]


def repositories(session: Session, principal: Principal, last: str, limit: int) -> list[str]:
    """Return the repositories that the principal may pull, in byte order, after ``last``."""
    # A token may be bound to one image: that is asked of the image, not of its project.
    anywhere = replace(principal, reach=None)
    may_pull = visible_places(session, anywhere, Project, minimum=Role.REPORTER)
    query = (
        select(ContainerImage.path)
        .join(Project, Project.id == ContainerImage.project_id)
        .where(may_pull, ContainerImage.path > last, is_listed())
        .order_by(ContainerImage.path)
        .limit(limit)
    )
    if principal.reach is not None:
        query = query.where(reached(ContainerImage.path, principal.reach))
    return list(session.scalars(query))


def image_row(image: ContainerImage) -> ImageRow:
    """Return an image as lists show it."""
    return ImageRow(
        name=image.name,
        path=image.path,
        tag_count=image.tag_count,
        last_push_at=image.last_push_at,
        last_push_by=image.last_pushed_by,
        pull_count=image.pull_count,
    )


def members(session: Session, place: Place) -> list[MemberRow]:
    """Return the members of a place, those inherited from above included."""
    above = prefixes(place.path)
    query = (
        select(User.username, Membership.role, Place.path)
        .join(Membership, Membership.user_id == User.id)
        .join(Place, Place.id == Membership.place_id)
        .where(Place.path.in_(above))
    )
    owners = (
        select(User.username, Place.path)
        .join(Place, Place.owner_id == User.id)
        .where(Place.path.in_(above))
    )
    found = [(name, Role(role), path, False) for name, role, path in session.execute(query)]
    found += [(name, Role.OWNER, path, True) for name, path in session.execute(owners)]
    return [
        MemberRow(name, role.label, role.name.lower(), None if path == place.path else path, fixed)
        for name, role, path, fixed in sorted(
            found, key=lambda member: (member[2] != place.path, -member[1], member[0])
        )
    ]


def creatable_parents(session: Session, principal: Principal) -> list[str]:
    """Return the namespaces in which the principal may create something, their own first."""
    personal = func.coalesce(Namespace.owner_id == (principal.user_id or 0), false())
    query = select(Namespace.path).order_by(personal.desc(), Namespace.path).limit(PARENTS)
    if not principal.is_admin:
        query = query.where(below_own(session, principal, Namespace, Role.MAINTAINER))
    return list(session.scalars(query))
