"""Report of an adoption, with the current state of the projects that received repositories.

An adoption assigns repositories of an existing registry to projects in bulk. Afterward, the worker
reads the repositories from the registry.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..access import at_or_below
from ..access.lookup import prefixes
from ..catalog.images import is_listed
from ..errors import NotFound
from ..models import (
    AuditEntry,
    ContainerImage,
    Membership,
    Place,
    Project,
    UnassignedRepository,
    User,
    utc_now,
)
from .service import ADOPT, ADOPT_INTO, CREATE

#: Maximum number of projects listed in a report.
MAX_LISTED_PROJECTS = 200
#: How long after an adoption the report page reloads while the worker is reading repositories.
REFRESH_PERIOD = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class AdoptedProject:
    """A project that received repositories in an adoption, in its current state.

    Attributes:
        path: the path of the project.
        visibility: the visibility, such as ``private``.
        members: number of unblocked users with a direct or inherited role. Administrators who are
            not members are not counted.
        images: number of images that the worker has read.
        reading: number of repositories that the worker has not read yet; they are not included in
            ``images``.
    """

    path: str
    visibility: str
    members: int
    images: int
    reading: int


@dataclass(frozen=True, slots=True)
class AdoptionReport:
    """An adoption as recorded in the audit log, with the current state of its projects.

    Attributes:
        entry: the audit entry of the adoption.
        total: number of all projects that received repositories.
        projects: those projects that still exist, up to MAX_LISTED_PROJECTS.
        reading: number of repositories at or below the adopted path that a project owns and that
            the worker has not read yet.
        unassigned: number of repositories at or below the adopted path that no project owns.
    """

    entry: AuditEntry
    total: int
    projects: list[AdoptedProject]
    reading: int
    unassigned: int

    @property
    def refreshes(self) -> bool:
        """Whether the page should reload automatically, because the worker is reading repositories.

        Reloading ends after REFRESH_PERIOD, even if the registry is unavailable for longer.
        """
        return self.reading > 0 and utc_now() - self.entry.at < REFRESH_PERIOD

    @property
    def detail(self) -> dict[str, Any]:
        """Details of the audit entry: counts, and the visibility and owner of new projects."""
        return self.entry.detail


def adoption_report(session: Session, adoption_id: int) -> AdoptionReport:
    """Return the report of an adoption with a constant number of queries.

    Args:
        session: the database session.
        adoption_id: the ID of the audit entry of the adoption.

    Raises:
        NotFound: there is no such adoption.
    """
    entry = session.get(AuditEntry, adoption_id)
    if entry is None or entry.action != ADOPT:
        raise NotFound
    total = entry.detail["projects"] + entry.detail.get("existing_projects", 0)
    query = (
        select(AuditEntry.subject)
        .where(
            AuditEntry.actor == entry.actor,
            AuditEntry.id > entry.id,
            AuditEntry.action.in_([CREATE, ADOPT_INTO]),
            AuditEntry.detail["adoption"].as_integer() == entry.id,
        )
        .order_by(AuditEntry.id)
        .limit(min(total, MAX_LISTED_PROJECTS))
    )
    paths = list(session.scalars(query))
    unread, unassigned = _count_unread(session, entry.subject)
    projects = _list_projects(session, paths, unread)
    return AdoptionReport(entry, total, projects, unread.total(), unassigned)


def _list_projects(
    session: Session, paths: list[str], unread: Counter[str]
) -> list[AdoptedProject]:
    query = select(Project.id, Project.path, Project.visibility).where(Project.path.in_(paths))
    rows = session.execute(query.order_by(Project.path)).all()
    images = dict(
        session.execute(
            select(ContainerImage.project_id, func.count())
            .where(ContainerImage.project_id.in_([row.id for row in rows]), is_listed())
            .group_by(ContainerImage.project_id)
        ).all()
    )
    members = _count_members(session, [row.path for row in rows])
    return [
        AdoptedProject(
            row.path,
            row.visibility or "",
            members[row.path],
            images.get(row.id, 0),
            unread[row.path],
        )
        for row in rows
    ]


def _count_members(session: Session, paths: list[str]) -> Counter[str]:
    """Count the unblocked users with a direct or inherited role in each project."""
    all_paths = {ancestor for path in paths for ancestor in prefixes(path)}
    conditions = Place.path.in_(all_paths), User.is_blocked.is_(False)
    direct = (
        select(Place.path, User.id)
        .join(Membership, Membership.place_id == Place.id)
        .join(User, User.id == Membership.user_id)
        .where(*conditions)
    )
    personal = select(Place.path, User.id).join(User, User.id == Place.owner_id).where(*conditions)
    users_by_path: dict[str, set[int]] = {}
    for path, user_id in session.execute(direct.union_all(personal)):
        users_by_path.setdefault(path, set()).add(user_id)
    return Counter(
        {
            path: len(
                set().union(*(users_by_path.get(ancestor, ()) for ancestor in prefixes(path)))
            )
            for path in paths
        }
    )


def _count_unread(session: Session, below: str) -> tuple[Counter[str], int]:
    """Count the repositories at or below a path that the worker has not read yet.

    Args:
        session: the database session.
        below: the path, or "*" for the whole registry.

    Returns:
        The number of such repositories by path of the project that owns them, and the number of
        such repositories that no project owns.
    """
    query = select(UnassignedRepository.path)
    if below != "*":
        query = query.where(at_or_below(UnassignedRepository.path, below))
    names = list(session.scalars(query))
    projects = set(session.scalars(select(Project.path)))
    owners = [next(filter(projects.__contains__, reversed(prefixes(name))), None) for name in names]
    return Counter(owner for owner in owners if owner is not None), owners.count(None)
