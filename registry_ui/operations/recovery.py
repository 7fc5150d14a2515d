"""Recovery of interrupted removals and restores: their steps are completed or undone.

A worker can be killed, and the registry can fail, between any two calls. An interruption can leave
a hidden trash entry, or a tag that points to a placeholder manifest (PROTOCOLS 4.3). After the
recovery, an image is either under its tag or in the trash, and never both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import prefixes
from ..db.session import db, end_read
from ..distribution.errors import (
    RegistryError,
    RegistryNotFound,
    RegistryUnavailable,
)
from ..models import Removal, RemovalLine, TrashedTag, utc_now
from ..names import Digest, RepositoryName, TagName
from ..registry_connection import registry
from .runner import ACTIVE
from .trash_entries import discard, show
from .write_freeze import find_freeze

logger = logging.getLogger(__name__)

#: Outcomes of steps after which a tag can still point to a placeholder.
UNFINISHED_OUTCOMES = (None, "failed", "cancelled")
#: How long after the end of a failed or canceled removal each check of a repository tries to undo
#: the placeholders that are left.
RETRY_PERIOD = timedelta(days=7)


def complete_interrupted_steps(repository: RepositoryName) -> None:
    """Complete or undo the interrupted removals and restores of a repository."""
    complete_trash_entries(repository)
    _undo_left_placeholders(repository)


def complete_trash_entries(repository: RepositoryName) -> None:
    """Show or discard the hidden trash entries of a repository, except those of active removals.

    An entry is discarded if its tag still points to the image, and shown otherwise. If the registry
    does not answer, the entry stays hidden until the next attempt.
    """
    for row in _find_interrupted_entries(db.session(), str(repository)):
        try:
            current_digest = _read_digest(repository, row.tag)
            if (
                current_digest is not None
                and current_digest != row.digest
                and _is_placeholder(row, current_digest)
            ):
                current_digest = _restore_tag(repository, row.tag, current_digest, row.digest)
        except RegistryError as error:
            logger.warning("the trash entry of %s:%s stays hidden: %s", repository, row.tag, error)
            continue
        if current_digest == row.digest:
            discard(row.repository, row.trash_tag)
        else:
            show(row.repository, row.trash_tag)


def _undo_left_placeholders(repository: RepositoryName) -> None:
    """Undo the placeholders that failed and canceled removals left in a repository.

    These placeholders are left because the registry did not answer, or did not accept writes, when
    the removals ended.
    """
    query = select(Removal).where(
        Removal.state.in_(("failed", "cancelled")),
        Removal.finished_at > utc_now() - RETRY_PERIOD,
        Removal.project_path.in_(prefixes(str(repository))),
    )
    for removal in db.session.scalars(query).all():
        undo_placeholders(removal, only_repository=repository)
    end_read()


def undo_placeholders(
    removal: Removal,
    renew: Callable[[], None] = lambda: None,
    only_repository: RepositoryName | None = None,
) -> RegistryUnavailable | None:
    """Point the tags that still point to a placeholder of a removal back to their images.

    Args:
        renew: called before each tag, to renew the lease.
        only_repository: repository whose tags are handled; None for all repositories.

    Returns:
        The last error if the registry did not answer for a tag or writes are frozen, so that a
        later attempt is useful; otherwise None. Any other error is only logged.
    """
    problem = None
    query = select(RemovalLine.number, RemovalLine.placeholder, RemovalLine.outcome).where(
        RemovalLine.work_id == removal.id, RemovalLine.placeholder.is_not(None)
    )
    lines = [
        line for line in db.session.execute(query).all() if line.outcome in UNFINISHED_OUTCOMES
    ]
    for line in lines:
        step = removal.plan[line.number]
        if step.kind not in {"tag", "purge"}:
            continue
        repository, tag = RepositoryName(step.repository), step.tag
        if only_repository is not None and repository != only_repository:
            continue
        end_read()
        renew()
        try:
            if _read_digest(repository, tag) == line.placeholder:
                _restore_tag(repository, tag, line.placeholder, step.digest)
        except RegistryError as error:
            logger.warning("%s:%s still stands for a placeholder: %s", repository, tag, error)
            if isinstance(error, RegistryUnavailable) and error.is_outage:
                problem = error
    return problem


def _find_interrupted_entries(session: Session, repository: str) -> list[TrashedTag]:
    """Return the hidden, not discarded trash entries on which no active removal works."""
    query = select(TrashedTag).where(
        TrashedTag.repository == repository,
        TrashedTag.leaving.is_(True),
        TrashedTag.purge_at > utc_now(),
    )
    rows = list(session.scalars(query))
    if rows:
        plans = select(Removal.plan).where(
            Removal.state.in_(ACTIVE), Removal.project_path.in_(prefixes(repository))
        )
        running = {step.trash_tag for plan in session.scalars(plans) for step in plan}
        rows = [row for row in rows if row.trash_tag not in running]
    end_read()
    return rows


def _is_placeholder(row: TrashedTag, digest: str) -> bool:
    """Return whether a removal pushed this digest as a placeholder to the tag of a trash entry."""
    query = select(RemovalLine.work_id).where(
        RemovalLine.reference == f"{row.repository}:{row.tag}", RemovalLine.placeholder == digest
    )
    is_placeholder = db.session.execute(query.limit(1)).first() is not None
    end_read()
    return is_placeholder


def _read_digest(repository: RepositoryName, tag: str) -> str | None:
    try:
        return registry().head(repository, TagName(tag))
    except RegistryNotFound:
        return None


def _restore_tag(repository: RepositoryName, tag: str, placeholder: str, digest: str) -> str | None:
    """Point a tag from a placeholder back to its image, unless the tag has changed meanwhile.

    Args:
        placeholder: digest of the placeholder.
        digest: digest of the image.

    Returns:
        The digest to which the tag points now, or None if the tag no longer exists.

    Raises:
        RegistryUnavailable: the registry does not answer, or writes are frozen.
        RegistryError: the registry refused a request.
    """
    manifest = registry().manifest(repository, Digest(digest))
    if find_freeze(db.session(), str(repository)) is not None:
        raise RegistryUnavailable("nothing can be written there at the moment")
    end_read()
    # Read the tag again, because a push since the first check must not be overwritten.
    current_digest = _read_digest(repository, tag)
    if current_digest == placeholder:
        registry().put_manifest(repository, TagName(tag), manifest.body, manifest.media_type)
        return digest
    return current_digest
