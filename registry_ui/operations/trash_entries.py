"""Trash entries: rows for deleted tags whose manifests are kept in the trash.

The registry keeps the manifest under a *trash tag*, which is not shown as a tag. An entry is hidden
(``leaving`` is set, and ``purge_at`` is in the future) until its tag is deleted, so that a tag is
never shown both in its image and in the trash. The ``recovery`` module completes steps that were
interrupted.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, update

from ..access.lookup import owning_project
from ..db.prepared import insert_if_absent
from ..db.session import writing
from ..db.statements import update_count
from ..errors import NotFound
from ..models import ContainerImage, Removal, RemovalStep, Tag, TrashedTag, utc_now
from ..names import Digest, RepositoryName, TagName
from ..registry_connection import registry
from .errors import StepFailed

#: Minimum time that an entry is kept after the restore of its tag has begun.
RESTORE_PERIOD = timedelta(hours=1)


def put_into_trash(removal: Removal, step: RemovalStep) -> None:
    """Push the manifest of a tag under the trash tag that the step names. Safe to repeat.

    The hidden entry is written before the push, so that every trash tag has an entry.

    Raises:
        RegistryError: the registry did not return the manifest, or did not accept it.
        StepFailed: the project was deleted, so there is no trash for the tag.
    """
    repository = RepositoryName(step.repository)
    manifest = registry().manifest(repository, Digest(step.digest))
    purge_at = utc_now() + timedelta(days=step.days)
    if not _insert_hidden(removal, step, purge_at):
        # The step is being repeated, and an earlier worker may have discarded the entry.
        _change_entry(step.repository, step.trash_tag, leaving=True, purge_at=purge_at)
    registry().put_manifest(repository, TagName(step.trash_tag), manifest.body, manifest.media_type)


def _insert_hidden(removal: Removal, step: RemovalStep, purge_at: datetime) -> bool:
    """Add the hidden entry for a step's tag; return False if the entry already exists."""
    with writing() as session:
        project = owning_project(session, step.repository)
        if project is None:
            raise StepFailed("its project no longer exists, so it can't be kept in the trash")
        tag_row = session.execute(
            select(Tag.pushed_at, Tag.pushed_by, Tag.pull_count, Tag.last_pulled_at)
            .join(ContainerImage, ContainerImage.id == Tag.image_id)
            .where(ContainerImage.path == step.repository, Tag.name == step.tag)
        ).first()
        return insert_if_absent(
            session,
            TrashedTag,
            project_id=project.id,
            repository=step.repository,
            tag=step.tag,
            trash_tag=step.trash_tag,
            digest=step.digest,
            pushed_at=tag_row.pushed_at if tag_row else None,
            pushed_by=tag_row.pushed_by if tag_row else None,
            pull_count=tag_row.pull_count if tag_row else 0,
            last_pulled_at=tag_row.last_pulled_at if tag_row else None,
            removed_at=utc_now(),
            removed_by=removal.requested_by,
            purge_at=purge_at,
            leaving=True,
        )


def hide(row: TrashedTag) -> None:
    """Hide an entry while its tag is restored, so that a concurrent restore does not find it.

    Raises:
        NotFound: the entry is already hidden or was deleted.
    """
    purge_at = max(row.purge_at, utc_now() + RESTORE_PERIOD)
    is_shown = TrashedTag.leaving.is_(False)
    if not _change_entry(row.repository, row.trash_tag, is_shown, leaving=True, purge_at=purge_at):
        raise NotFound("This is no longer in the trash.")


def show(repository: str, trash_tag: str) -> bool:
    """Show the entry of a tag that was deleted; return whether there was a hidden entry."""
    is_hidden = and_(TrashedTag.leaving.is_(True), TrashedTag.purge_at > utc_now())
    return _change_entry(repository, trash_tag, is_hidden, leaving=False)


def discard(repository: str, trash_tag: str) -> None:
    """Discard the entry of a tag that still exists. The worker purges a discarded entry later."""
    _change_entry(repository, trash_tag, leaving=True, purge_at=utc_now())


def _change_entry(
    repository: str, trash_tag: str, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    with writing() as session:
        statement = (
            update(TrashedTag)
            .where(
                TrashedTag.repository == repository, TrashedTag.trash_tag == trash_tag, *conditions
            )
            .values(values)
        )
        return bool(update_count(session, statement))


def forget(step: RemovalStep) -> None:
    """Delete the entry of a step's trash tag, because the registry no longer has that tag."""
    with writing() as session:
        session.execute(
            delete(TrashedTag)
            .where(TrashedTag.repository == step.repository, TrashedTag.trash_tag == step.tag)
            .execution_options(synchronize_session=False)
        )


def forget_gone(repository: str, trash_tags: Collection[str]) -> None:
    """Delete the entries of trash tags that were deleted with the rest of their repository."""
    with writing() as session:
        session.execute(
            delete(TrashedTag)
            .where(TrashedTag.repository == repository, TrashedTag.trash_tag.in_(trash_tags))
            .execution_options(synchronize_session=False)
        )
