"""Reconcile the index (the database's copy of the registry's tags) with the registry.

The registry is authoritative: differences are corrected in the index. If the registry answers with
an error, nothing changes in the index. Nor does it if the registry's catalog lacks a repository,
because the catalog omits names on some storage drivers (PROTOCOLS 4.1).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..access import at_or_below
from ..access.lookup import owning_project, prefixes
from ..access.reserved_paths import reserved_names
from ..db.prepared import insert_if_absent
from ..db.session import db, end_read, writing
from ..db.statements import update_count
from ..distribution.errors import RegistryError, RegistryNotFound
from ..distribution.tag_list import TagNames
from ..models import (
    DIGESTS_READ,
    REGISTRY_READ,
    ContainerImage,
    Heartbeat,
    Project,
    UnassignedRepository,
    utc_now,
)
from ..names import NameInvalid, RepositoryName, without_trash
from ..operations.recovery import complete_interrupted_steps
from ..registry_connection import registry
from .earlier_pushes import carry_over
from .images import ensure_image
from .live_tags import LiveTags, read_tags
from .pull_through import is_cache
from .reconcile_outcome import Outcome
from .tag_list_update import TagListing, apply_tag_list
from .unassigned_records import forget_unassigned, pop_last_push, record_unassigned

logger = logging.getLogger(__name__)

#: How long a reconcile stays current. An older one is repeated when the image's page is opened.
STALE_AFTER = timedelta(hours=1)


def reconcile(repository: RepositoryName, *, digests: bool = True, removed_by: str = "") -> Outcome:
    """Read all tags of a repository from the registry, and correct the database.

    A registry error is not raised: it is stored in the outcome and in the image's row, and nothing
    else changes. A tag that can't be read is marked as damaged, and the others are compared.

    Args:
        repository: the repository.
        digests: whether to read the digest of each tag, too. Without digests, one call reads the
            list of tags, which shows new and deleted tags. The digests of an image that is not in
            the database yet are always read.
        removed_by: the user who just removed tags, for the tag history; "" if not known.

    Returns:
        The differences that were found, or the error.
    """
    if is_cache():
        return _reconcile_cached(repository)
    complete_interrupted_steps(repository)
    started_at, request = utc_now(), _find_request(db.session(), repository)
    end_read()
    try:
        answer = _fetch_tags(repository)
        names = without_trash(answer or [])
        reads_digests = digests or _find_image_id(db.session(), repository) is None
        end_read()
        live = read_tags(repository, names) if reads_digests else LiveTags()
    except RegistryError as error:
        _record_error(repository, str(error))
        return Outcome(str(repository), error=str(error))
    listing = TagListing(names, live, started_at, request, removed_by)
    outcome = _apply_or_record_unassigned(repository, listing, is_known=answer is not None)
    outcome.unanswered = sorted(live.unanswered)
    outcome.unusable = list(answer.unusable) if answer else []
    return outcome


def _apply_or_record_unassigned(
    repository: RepositoryName, listing: TagListing, *, is_known: bool
) -> Outcome:
    """Correct the database for a repository, or record that no project owns the repository.

    A repository that belongs to an unfinished or earlier move is left alone.

    Args:
        repository: the repository.
        listing: the tags that the registry listed; empty if it does not have the repository.
        is_known: whether the registry has the repository.
    """
    with writing() as session:
        if reserved_names(session, [str(repository)]):
            return Outcome(str(repository))
        project = owning_project(session, str(repository))
        if project is None:
            return _record_unassigned(session, repository, len(listing.names), is_known=is_known)
        last_push = pop_last_push(session, str(repository))
        if not listing.names and not _find_image_id(session, repository):
            return Outcome(str(repository))
        image = ensure_image(session, project, str(repository))
        outcome = apply_tag_list(session, image, listing)
        if listing.names:
            carry_over(session, image, last_push)
        return outcome


def _reconcile_cached(repository: RepositoryName) -> Outcome:
    """Insert the image row for a repository of a pull-through cache, if a project owns it.

    The registry is not called, because a call would make the cache send a request to its upstream
    registry. The database contains only the tags that were pulled, with the digests pulled.
    """
    path = str(repository)
    with writing() as session:
        project = None if reserved_names(session, [path]) else owning_project(session, path)
        if project is None:
            return Outcome(path, owned=False, exists=False)
        session.execute(delete(UnassignedRepository).where(UnassignedRepository.path == path))
        image = ensure_image(session, project, path)
        image.mark_reconciled(utc_now(), image.reconcile_requested_at)
        return Outcome(path, tags=image.tag_count)


def _fetch_tags(repository: RepositoryName) -> TagNames | None:
    """Return all tags that the registry lists, including those in the trash.

    None if the registry does not have the repository.
    """
    try:
        return registry().tags(repository)
    except RegistryNotFound:
        return None


def _find_image_id(session: Session, repository: RepositoryName) -> int | None:
    return session.scalar(select(ContainerImage.id).where(ContainerImage.path == str(repository)))


def _find_request(session: Session, repository: RepositoryName) -> datetime | None:
    """Return when a reconcile of the image was requested; None if nobody waits for one."""
    query = select(ContainerImage.reconcile_requested_at)
    return session.scalar(query.where(ContainerImage.path == str(repository)))


def _record_unassigned(
    session: Session, repository: RepositoryName, tag_count: int, *, is_known: bool
) -> Outcome:
    """Record that no project owns a repository, and the number of its tags.

    A recorded repository that has no tags stays recorded, because its manifests can still be
    pulled by digest, and a project created over its name would own them. reconcile_all() deletes
    the record once the registry's catalog and tag list both lack the repository.

    Args:
        tag_count: number of tags that the registry listed.
        is_known: whether the registry has the repository.
    """
    path = str(repository)
    if tag_count:
        insert_if_absent(session, UnassignedRepository, path=path, first_seen_at=utc_now())
    row = session.get(UnassignedRepository, path)
    if row is not None:
        row.tag_count = tag_count
    return Outcome(path, owned=False, exists=is_known, tags=tag_count)


def _record_error(repository: RepositoryName, error: str) -> None:
    with writing() as session:
        image = session.scalar(select(ContainerImage).where(ContainerImage.path == str(repository)))
        if image is not None:
            image.reconcile_error = error


def request_reconcile_if_stale(image: ContainerImage) -> bool:
    """Mark an image to be reconciled by a job if its last reconcile is older than STALE_AFTER.

    The next successful reconcile clears the mark, so opening the image's page repeatedly causes
    only one job.

    Returns:
        Whether this call set the mark.
    """
    if image.reconcile_requested_at or not _is_stale(image.reconciled_at):
        return False
    with writing() as session:
        statement = (
            update(ContainerImage)
            .where(ContainerImage.id == image.id, ContainerImage.reconcile_requested_at.is_(None))
            .values(reconcile_requested_at=utc_now())
        )
        return bool(update_count(session, statement))


def _is_stale(reconciled_at: datetime | None) -> bool:
    return reconciled_at is None or utc_now() - reconciled_at > STALE_AFTER


def reconcile_wanted() -> list[Outcome]:
    """Reconcile every image whose ``reconcile_requested_at`` is set.

    The digests of tags are read only if the last reconcile is older than STALE_AFTER and did not
    fail. After an error, the image is reconciled again every minute until the registry answers, so
    a retry must be cheap.

    Returns:
        One outcome for each of these images.
    """
    query = select(
        ContainerImage.path, ContainerImage.reconciled_at, ContainerImage.reconcile_error
    ).where(ContainerImage.reconcile_requested_at.is_not(None))
    return [
        reconcile(
            RepositoryName(row.path),
            digests=_is_stale(row.reconciled_at) and row.reconcile_error is None,
        )
        for row in db.session.execute(query).all()
    ]


def reconcile_all(*, digests: bool = True) -> list[Outcome]:
    """Reconcile every repository in the registry's catalog or in the database once.

    Repositories that no project owns are recorded before their tags are read, so that a name in
    use is not considered free because reading its tags failed. Therefore, the registry counts as
    read (REGISTRY_READ) even if some repositories failed. Until the registry has been read for the
    first time, users can't create namespaces.

    Args:
        digests: whether to read the digest of each tag, too, which costs one call per tag and
            makes the registry send one event per tag.

    Raises:
        RegistryError: the catalog can't be read; nothing was changed.
    """
    started_at = utc_now()
    end_read()
    catalog_paths = set(map(str, registry().catalog()))
    unassigned_paths = set(db.session.scalars(select(UnassignedRepository.path)))
    record_unassigned(sorted(_exclude_owned(catalog_paths) - unassigned_paths))
    paths = set(db.session.scalars(select(ContainerImage.path))) | unassigned_paths
    outcomes = []
    for path in sorted(catalog_paths | paths):
        try:
            outcomes.append(reconcile(RepositoryName(path), digests=digests))
        except NameInvalid:
            logger.warning("a repository has a name that breaks the grammar: %r", path)
    missing_paths = {outcome.repository for outcome in outcomes if _is_missing(outcome)}
    forget_unassigned(missing_paths - catalog_paths, started_at)
    with writing() as session:
        session.merge(Heartbeat(name=REGISTRY_READ, at=utc_now()))
        if digests:
            session.merge(Heartbeat(name=DIGESTS_READ, at=utc_now()))
    return outcomes


def _is_missing(outcome: Outcome) -> bool:
    return not outcome.owned and not outcome.exists


def _exclude_owned(repositories: set[str]) -> set[str]:
    """Return the given repositories that no project owns and that no move has reserved."""
    projects = set(db.session.scalars(select(Project.path)))
    unowned_paths = {name for name in repositories if projects.isdisjoint(prefixes(name))}
    return unowned_paths - reserved_names(db.session(), unowned_paths)


def index_repositories_below(path: str) -> list[Outcome]:
    """Add the existing repositories at or below a new project's path to the database.

    Returns:
        One outcome for each of these repositories.
    """
    query = select(UnassignedRepository.path).where(at_or_below(UnassignedRepository.path, path))
    return [reconcile(RepositoryName(name)) for name in db.session.scalars(query).all()]
