"""Queries for the admin area: counts, times, and paginated lists.

Every page of a list costs a constant number of queries. The index is the database's copy of the
registry's tags. The gate is the part of this application that a reverse proxy asks before it
forwards a push or deletion to the registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, true

from ..access.lookup import prefixes
from ..catalog.images import is_listed
from ..db.session import db
from ..db.statements import AnySelect
from ..errors import RegistryUnreachable
from ..models import (
    GATE_ASKED,
    REGISTRY_READ,
    AuditEntry,
    ContainerImage,
    Copy,
    Heartbeat,
    Namespace,
    Place,
    Project,
    RegistryEvent,
    Tag,
    UnassignedRepository,
    User,
    utc_now,
)
from ..names import RESERVED_FIRST_SEGMENTS, RepositoryName
from ..pagination import PER_PAGE, Page
from ..removals.deletion_method import deletion_method

STALE_AFTER = timedelta(days=2)
STATUSES = ("pending", "applied", "dropped", "rejected")


def _fetch_page(query: AnySelect, number: int) -> tuple[list[Any], Page]:
    count_query = select(func.count()).select_from(query.order_by(None).subquery())
    page = Page.of(number, db.session.scalar(count_query) or 0)
    return list(db.session.scalars(query.limit(PER_PAGE).offset(page.offset))), page


def counts() -> list[tuple[str, int]]:
    """Return (label, count) pairs for users, projects, tags, unassigned repositories, and more."""
    models = {
        "Users": User,
        "Namespaces": Namespace,
        "Projects": Project,
        "Images": ContainerImage,
        "Tags": Tag,
        "Unassigned": UnassignedRepository,
    }
    queries = (
        select(func.count())
        .select_from(model)
        .where(is_listed() if model is ContainerImage else true())
        .scalar_subquery()
        for model in models.values()
    )
    return list(zip(models, db.session.execute(select(*queries)).one(), strict=True))


def last_event_at() -> datetime | None:
    """Return when the last registry event was received; None if no event is stored."""
    return db.session.scalar(select(func.max(RegistryEvent.received_at)))


def waiting_events() -> int:
    """Count the registry events that the worker has not applied to the index yet."""
    query = select(func.count()).select_from(RegistryEvent).where(RegistryEvent.status == "pending")
    return db.session.scalar(query) or 0


def reconciled_at() -> datetime | None:
    """Return when the index was last compared with the whole registry; None if it never was."""
    return db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == REGISTRY_READ))


def gate_asked_at() -> datetime | None:
    """Return when the gate was last asked about a push or deletion; None if it never was."""
    return db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == GATE_ASKED))


def deletes_by_tag() -> bool | None:
    """Return whether the registry can delete a tag by name, as Distribution 3 can.

    Return None if this is unknown: there is no image to test, deletion is disabled, or the
    registry does not answer.
    """
    path = db.session.scalar(select(ContainerImage.path).limit(1))
    if path is None:
        return None
    try:
        return deletion_method(RepositoryName(path)) == "tag"
    except RegistryUnreachable:
        return None


def stale_images() -> int:
    """Count the images whose last comparison with the registry failed or is over two days old."""
    query = (
        select(func.count())
        .select_from(ContainerImage)
        .where(
            is_listed(),
            (ContainerImage.reconciled_at < utc_now() - STALE_AFTER)
            | ContainerImage.reconcile_error.is_not(None),
        )
    )
    return db.session.scalar(query) or 0


def users(q: str, number: int) -> tuple[list[User], Page]:
    """Return one page of the users, sorted by name, and its position in the list.

    Args:
        q: text that the user name must contain; empty for all users.
        number: number of the page, from 1.
    """
    query = select(User).order_by(User.username)
    if q:
        query = query.where(User.username.contains(q.lower(), autoescape=True))
    return _fetch_page(query, number)


@dataclass(frozen=True, slots=True)
class UnassignedRow:
    """A repository that the index lists under no project, and how a project can adopt it.

    Attributes:
        path: name of the repository.
        first_seen_at: when the repository was first seen in the registry.
        last_push_at: time of the last push; None if no push is known.
        pushed_by: user name of the last push; None if unknown.
        tag_count: number of tags; None if unknown.
        parent: path of the deepest namespace or project at or above the repository; "" for none.
        name: next segment of the path after ``parent``; "" if no project can own the repository,
            because its path is that of a namespace or project, or starts with a reserved name.
        needs_namespace: whether a namespace called ``name`` must be created for the project.
        project: path of the project that owns the repository, if the worker has not added the
            repository to the index yet; otherwise "".
        copy: the latest finished copy of the repository to a project that still exists, or None.
    """

    path: str
    first_seen_at: datetime
    last_push_at: datetime | None
    pushed_by: str | None
    tag_count: int | None
    parent: str
    name: str
    needs_namespace: bool
    project: str
    copy: Copy | None


def unassigned(q: str, number: int) -> tuple[list[UnassignedRow], Page]:
    """Return one page of the unassigned repositories, sorted by path, and its position.

    Args:
        q: text that the path must contain; empty for all repositories.
        number: number of the page, from 1.
    """
    query = select(UnassignedRepository).order_by(UnassignedRepository.path)
    if q:
        query = query.where(UnassignedRepository.path.contains(q.lower(), autoescape=True))
    rows, page = _fetch_page(query, number)
    parents = {row.path: prefixes(row.path) for row in rows}
    parent_paths = {path for paths in parents.values() for path in paths}
    kind_query = select(Place.path, Place.kind).where(Place.path.in_(parent_paths))
    kinds: dict[str, str] = dict(db.session.execute(kind_query).all())
    copies = _fetch_latest_copies(list(parents))
    unassigned_rows = [
        _make_unassigned_row(
            row,
            [(path, kinds[path]) for path in parents[row.path] if path in kinds],
            copies.get(row.path),
        )
        for row in rows
    ]
    return unassigned_rows, page


def _fetch_latest_copies(sources: list[str]) -> dict[str, Copy]:
    latest = (
        select(func.max(Copy.id))
        .where(Copy.source.in_(sources), Copy.state == "done", Copy.project_id.is_not(None))
        .group_by(Copy.source)
    )
    query = select(Copy).where(Copy.id.in_(latest))
    return {copy.source: copy for copy in db.session.scalars(query)}


def _make_unassigned_row(
    row: UnassignedRepository, places: list[tuple[str, str]], copy: Copy | None
) -> UnassignedRow:
    """Return the table row of an unassigned repository.

    Args:
        row: the repository.
        places: path and kind of each namespace or project at or above the repository, the longest
            path last.
        copy: the latest finished copy of the repository, or None.
    """
    parent, kind = places[-1] if places else ("", "")
    segments = row.path[len(parent) :].strip("/").split("/")
    is_ownable = parent != row.path and segments[0] not in (
        () if parent else RESERVED_FIRST_SEGMENTS
    )
    return UnassignedRow(
        path=row.path,
        first_seen_at=row.first_seen_at,
        last_push_at=row.last_push_at,
        pushed_by=row.pushed_by,
        tag_count=row.tag_count,
        parent=parent,
        name=segments[0] if is_ownable else "",
        needs_namespace=not parent and len(segments) > 1,
        project=parent if kind == "project" else "",
        copy=copy,
    )


def unassigned_count() -> int:
    """Count the repositories that the index lists under no project."""
    return db.session.scalar(select(func.count()).select_from(UnassignedRepository)) or 0


def events(status: str, number: int) -> tuple[list[RegistryEvent], Page]:
    """Return one page of the registry events, newest first, and its position in the list.

    Args:
        status: the status of the events, one of STATUSES; any other value selects all events.
        number: number of the page, from 1.
    """
    query = select(RegistryEvent).order_by(RegistryEvent.id.desc())
    if status in STATUSES:
        query = query.where(RegistryEvent.status == status)
    return _fetch_page(query, number)


def audit(number: int) -> tuple[list[AuditEntry], Page]:
    """Return one page of the audit log, newest first, and its position in the log."""
    return _fetch_page(select(AuditEntry).order_by(AuditEntry.id.desc()), number)
