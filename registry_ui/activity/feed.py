"""Activity feed of a project, a namespace, or a user: newest first, page by page.

Four sources are merged: pushes, removals, changes to members and settings, and pulls, which are
counted by image and day. For each page, at most one page of rows is read from each source. A page
begins after the last entry of the previous page, so new entries do not shift the pages.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, false, func, literal, or_, select, type_coerce
from sqlalchemy.orm import Session

from ..access import Principal, Role, at_or_below, visible_places
from ..access.lookup import prefixes
from ..access.queries import below_own, own_places
from ..catalog.images import is_listed
from ..copies.visibility import visible_sources
from ..db.statements import AnySelect
from ..models import (
    AuditEntry,
    ContainerImage,
    DailyCount,
    Place,
    Project,
    Push,
    Removal,
    Tag,
    User,
)
from ..pagination import PER_PAGE
from .entries import KINDS, ActivityFilters, Cursor, Day, Entry, EntryPage

#: Number of days that the chart shows.
CHART_DAYS = 30
#: Text on the page for each audit action that is a change to members or settings.
CHANGES = {
    "namespace.create": "created the namespace",
    "namespace.settings": "changed the settings of",
    "namespace.move": "moved the namespace",
    "namespace.delete.done": "deleted the namespace",
    "project.create": "created the project",
    "project.settings": "changed the settings of",
    "project.move": "moved the project",
    "project.delete.done": "deleted the project",
    "member.add": "added a member to",
    "member.change": "changed a role in",
    "member.remove": "removed a member from",
    "deploy_token.create": "created a deploy token of",
    "deploy_token.revoke": "revoked a deploy token of",
}
#: SQL condition for removals that were started; excludes plans, and those canceled before any step.
CARRIED_OUT = Removal.state.in_(("waiting", "running", "done", "failed")) | (
    (Removal.state == "cancelled") & (Removal.done > 0)
)


class Activity:
    """The activity in a project or namespace, or of a user, limited to what the viewer can see.

    Args:
        reader: the principal who views the activity.
        projects: SQL condition for the projects whose pushes, removals, and pulls are included.
        changes: SQL condition for the audit entries that are included; it can refer to Place.
        person: name of a user to include only their actions; "" for all users.
    """

    def __init__(
        self,
        reader: Principal,
        projects: ColumnElement[bool],
        changes: ColumnElement[bool],
        person: str = "",
    ) -> None:
        self.reader = reader
        self.projects, self.changes, self.person = projects, changes, person

    def page(self, session: Session, filters: ActivityFilters) -> EntryPage:
        """Return the page of entries that the filters select, with one query for each kind."""
        sources = {
            "push": self._fetch_pushes,
            "removal": self._fetch_removals,
            "change": self._fetch_changes,
            "pull": self._fetch_pulls,
        }
        kinds = [kind for kind in KINDS if filters.kind in ("", kind)]
        entries_by_kind = (sources[kind](session, filters) for kind in kinds)
        entries = list(heapq.merge(*entries_by_kind, key=lambda entry: entry.cursor.order))
        older = entries[PER_PAGE - 1].cursor if len(entries) > PER_PAGE else None
        del entries[PER_PAGE:]
        return EntryPage(entries, older, _fetch_existing(session, entries))

    def days(self, session: Session, today: date) -> list[Day]:
        """Return the numbers of pushes and pulls on the last CHART_DAYS days, oldest first.

        For a user, the number of pulls is always 0, because pulls are stored without user names.
        """
        first = today - timedelta(days=CHART_DAYS - 1)
        if self.person:
            pushed_on = type_coerce(func.date(Push.at), String)
            midnight = datetime.combine(first, time(), UTC)
            query: AnySelect = select(pushed_on, func.count(), literal(0))
            query = query.join(Project, Project.id == Push.project_id)
            query = query.where(Push.actor == self.person, Push.at >= midnight)
            query = query.group_by(pushed_on)
        else:
            columns = (DailyCount.day, func.sum(DailyCount.pushes), func.sum(DailyCount.pulls))
            query = select(*columns).join(Project, Project.id == DailyCount.project_id)
            query = query.where(DailyCount.day >= first).group_by(DailyCount.day)
        rows = session.execute(query.where(self.projects))
        counts = {str(day): (int(pushes), int(pulls)) for day, pushes, pulls in rows}
        days = []
        for number in range(CHART_DAYS):
            day = first + timedelta(days=number)
            pushes, pulls = counts.get(str(day), (0, 0))
            days.append(Day(day, pushes, pulls))
        return days

    # -- sources ------------------------------------------------------------------

    def _fetch_pushes(self, session: Session, filters: ActivityFilters) -> list[Entry]:
        query = select(Push, Project.path).join(Project, Project.id == Push.project_id)
        query = query.where(self.projects, *self._match_actor(Push.actor, filters))
        if filters.image:
            query = query.where(_match_image(filters.image, Push.name))
        rows = session.execute(_limit_to_page(query, Push.at, Push.id, 0, filters.before)).all()
        visible = visible_sources(session, self.reader, {row.source for row, _ in rows})
        return [
            Entry(
                kind="push",
                cursor=Cursor(row.at, 0, row.id),
                actor=row.actor,
                project=path,
                name=row.name,
                tag=row.tag,
                digest=row.digest,
                copied=bool(row.source),
                source=row.source if row.source in visible else "",
            )
            for row, path in rows
        ]

    def _fetch_removals(self, session: Session, filters: ActivityFilters) -> list[Entry]:
        query = select(Removal, Project.path).join(Project, Project.id == Removal.project_id)
        query = query.where(self.projects, CARRIED_OUT)
        query = query.where(*self._match_actor(Removal.requested_by, filters))
        if filters.image:
            tags = (Removal.target >= filters.image + ":") & (Removal.target < filters.image + ";")
            query = query.where(at_or_below(Removal.target, filters.image) | tags)
        rows = session.execute(
            _limit_to_page(query, Removal.created_at, Removal.id, 1, filters.before)
        )
        return [
            Entry(
                kind="removal",
                cursor=Cursor(row.created_at, 1, row.id),
                actor=row.requested_by,
                project=path,
                subject=row.target,
                state=row.state,
                removal_id=row.id,
            )
            for row, path in rows
        ]

    def _fetch_changes(self, session: Session, filters: ActivityFilters) -> list[Entry]:
        if filters.image:
            return []
        # A deleted place has no row; ``self.changes`` decides whether its entries are included.
        query = select(AuditEntry).outerjoin(Place, Place.path == AuditEntry.subject)
        query = query.where(self.changes, AuditEntry.action.in_(CHANGES))
        query = query.where(*self._match_actor(AuditEntry.actor, filters))
        rows = session.scalars(
            _limit_to_page(query, AuditEntry.at, AuditEntry.id, 2, filters.before)
        )
        return [
            Entry(
                kind="change",
                cursor=Cursor(row.at, 2, row.id),
                actor=row.actor,
                subject=row.subject,
                description=CHANGES[row.action],
                detail=row.detail,
            )
            for row in rows
        ]

    def _fetch_pulls(self, session: Session, filters: ActivityFilters) -> list[Entry]:
        if filters.by or self.person:
            return []
        query = select(DailyCount, Project.path)
        query = query.join(Project, Project.id == DailyCount.project_id)
        query = query.where(self.projects, DailyCount.pulls > 0)
        if filters.image:
            query = query.where(_match_image(filters.image, DailyCount.name))
        cursor = filters.before
        if cursor is not None:
            day = cursor.at.date()
            is_earlier = (
                DailyCount.id < cursor.id if cursor.rank == 3 else DailyCount.id.is_not(None)
            )
            query = query.where((DailyCount.day < day) | ((DailyCount.day == day) & is_earlier))
        query = query.order_by(DailyCount.day.desc(), DailyCount.id.desc()).limit(PER_PAGE + 1)
        return [
            Entry(
                kind="pull",
                cursor=Cursor(datetime.combine(row.day, time(), UTC), 3, row.id),
                project=path,
                name=row.name,
                count=row.pulls,
            )
            for row, path in session.execute(query)
        ]

    def _match_actor(self, column: Any, filters: ActivityFilters) -> Iterator[ColumnElement[bool]]:
        if self.person:
            yield column == self.person
        if filters.by:
            yield column == filters.by


def of_place(session: Session, reader: Principal, place: Place, *, changes: bool) -> Activity:
    """Return the activity at and below a project or namespace, in projects that the viewer can see.

    Args:
        session: the database session.
        reader: the principal who views the activity.
        place: the project or namespace.
        changes: whether the viewer is allowed to see changes to members and settings.
    """
    if isinstance(place, Project):
        projects: ColumnElement[bool] = Project.id == place.id
    else:
        projects = at_or_below(Project.path, place.path) & visible_places(session, reader, Project)
    # Audit entries older than the place belong to a deleted place that had the same path.
    at_place = at_or_below(AuditEntry.subject, place.path) & (AuditEntry.at >= place.created_at)
    return Activity(reader, projects, at_place if changes else false())


def of_person(session: Session, reader: Principal, username: str) -> Activity:
    """Return a user's activity in the projects that the viewer (``reader``) can see.

    Changes to members and settings are included for projects and namespaces in which the viewer is
    at least a Maintainer.
    """
    is_maintained: ColumnElement[bool] = Place.id.is_not(None)
    if not reader.is_admin:
        is_maintained = below_own(session, reader, Place, Role.MAINTAINER)
    return Activity(
        reader,
        visible_places(session, reader, Project),
        and_(Place.id.is_not(None), AuditEntry.at >= Place.created_at, is_maintained),
        username,
    )


def can_know(session: Session, reader: Principal, username: str) -> bool:
    """Return whether ``reader``, who views the activity, is allowed to learn that a user exists.

    An administrator can learn that any user exists. Other readers can learn that these users exist:

    - the reader;
    - users who pushed to, or removed images or tags from, a project that the reader can see,
      because the project's pages show their names anyway;
    - users with a role in, above, or below a project or namespace in which the reader has a role.
    """
    if reader.is_person and reader.username == username:
        return True
    user_id = session.scalar(select(User.id).where(User.username == username))
    if user_id is not None and reader.is_admin:
        return True
    visible = visible_places(session, reader, Project)
    pushes = select(Push.id).join(Project, Project.id == Push.project_id)
    removals = select(Removal.id).join(Project, Project.id == Removal.project_id)
    removals = removals.where(CARRIED_OUT, Removal.requested_by == username)
    for query in (pushes.where(Push.actor == username), removals):
        if session.scalar(query.where(visible).limit(1)) is not None:
            return True
    if user_id is None or not reader.is_person:
        return False
    reader_places = set(session.scalars(own_places(reader)))
    user_places = set(session.scalars(own_places(Principal(user_id=user_id))))
    return _is_related(reader_places, user_places) or _is_related(user_places, reader_places)


def _is_related(paths: Iterable[str], others: set[str]) -> bool:
    """Return whether any of the paths equals or lies below any path in ``others``."""
    return any(not others.isdisjoint(prefixes(path)) for path in paths)


def _match_image(repository: str, name: Any) -> ColumnElement[bool]:
    """Return the SQL condition for images at or below a repository name.

    Every split of the name into a project path and an image name is tried.

    Args:
        repository: a full repository name, or a path above one.
        name: the column of the image's name below its project.
    """
    parts = repository.split("/")
    splits = (
        (Project.path == "/".join(parts[:count])) & at_or_below(name, "/".join(parts[count:]))
        for count in range(1, len(parts))
    )
    return or_(at_or_below(Project.path, repository), *splits)


def _fetch_existing(session: Session, entries: list[Entry]) -> set[str]:
    """Find out which images and tags in the entries still exist, with one query.

    Returns:
        The repository names of existing images, and the references (``name:tag``) of existing tags.
    """
    image_entries = [entry for entry in entries if entry.kind in ("push", "pull")]
    is_tag_of_entry = (Tag.image_id == ContainerImage.id) & Tag.name.in_(
        {entry.tag for entry in image_entries}
    )
    path = ContainerImage.path
    is_image_of_entry = path.in_({entry.repository for entry in image_entries}) & is_listed()
    rows = session.execute(
        select(path, Tag.name).outerjoin(Tag, is_tag_of_entry).where(is_image_of_entry)
    ).all()
    return {path for path, _ in rows} | {f"{path}:{tag}" for path, tag in rows}


def _limit_to_page(
    query: AnySelect, at: Any, row_id: Any, rank: int, cursor: Cursor | None
) -> AnySelect:
    """Limit a query to the first page of rows after a cursor, newest first, plus one row.

    Args:
        query: the query for entries of one kind.
        at: the column with the time of an entry.
        row_id: the column with the row ID.
        rank: the index of the kind in KINDS.
        cursor: the cursor; None for the newest entries.
    """
    if cursor is not None:
        is_older = (
            and_(at == cursor.at, row_id < cursor.id) if rank == cursor.rank else at == cursor.at
        )
        query = query.where(
            or_(at < cursor.at, is_older) if rank >= cursor.rank else at < cursor.at
        )
    return query.order_by(at.desc(), row_id.desc()).limit(PER_PAGE + 1)
