"""Moving a tag to the bin, as a step of a removal, and forgetting it there.

An entry is hidden (``leaving``, with ``purge_at`` ahead) until its tag is gone, so that a tag is
never live and in the bin at once. Steps that were interrupted are completed by ``bin_recovery``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update

from ..access.lookup import owning_project
from ..db.prepared import insert_if_absent
from ..db.session import writing
from ..db.statements import update_count
from ..errors import NotFound
from ..models import BinnedTag, ContainerImage, Removal, RemovalStep, Tag, utc_now
from ..names import Digest, RepositoryName, TagName
from ..registry_connection import registry
from .errors import StepFailed

#: Minimum time that an entry stays while its tag is restored.
RESTORING = timedelta(hours=1)


def put_into_trash(removal: Removal, step: RemovalStep) -> None:
    """Keep a tag's manifest under the bin tag that the step names; safe to repeat.

    The entry is written first and stays hidden, so that no bin tag is without an entry.

    Raises:
        RegistryError: the registry did not take it.
        StepFailed: the project is gone, so it has no bin.
    """
    repository = RepositoryName(step.repository)
    manifest = registry().manifest(repository, Digest(step.digest))
    until = utc_now() + timedelta(days=step.days)
    if not _insert_hidden(removal, step, until):
        # The step is repeated, and an earlier worker may have taken the entry back.
        _change(step.repository, step.trash_tag, leaving=True, purge_at=until)
    registry().put_manifest(repository, TagName(step.trash_tag), manifest.body, manifest.media_type)


def _insert_hidden(removal: Removal, step: RemovalStep, until: datetime) -> bool:
    """Add the entry of a step; return False if there is one."""
    with writing() as session:
        project = owning_project(session, step.repository)
        if project is None:
            raise StepFailed("its project no longer exists, so it can't be kept in the bin")
        pushed = session.execute(
            select(Tag.pushed_at, Tag.pushed_by, Tag.pull_count, Tag.last_pulled_at)
            .join(ContainerImage, ContainerImage.id == Tag.image_id)
            .where(ContainerImage.path == step.repository, Tag.name == step.tag)
        ).first()
        return insert_if_absent(
            session,
            BinnedTag,
            project_id=project.id,
            repository=step.repository,
            tag=step.tag,
            bin_tag=step.trash_tag,
            digest=step.digest,
            pushed_at=pushed.pushed_at if pushed else None,
            pushed_by=pushed.pushed_by if pushed else None,
            pull_count=pushed.pull_count if pushed else 0,
            last_pulled_at=pushed.last_pulled_at if pushed else None,
            removed_at=utc_now(),
            removed_by=removal.requested_by,
            purge_at=until,
            leaving=True,
        )


def hide(row: BinnedTag) -> None:
    """Hide an entry while its tag is restored: until then, no other restore finds it.

    Raises:
        NotFound: it is hidden already.
    """
    until = max(row.purge_at, utc_now() + RESTORING)
    here = BinnedTag.leaving.is_(False)
    if not _change(row.repository, row.bin_tag, here, leaving=True, purge_at=until):
        raise NotFound("The bin does not hold this any more.")


def show(repository: str, bin_tag: str) -> bool:
    """Show a hidden entry, because its tag is gone; return whether there is one."""
    hidden = (BinnedTag.leaving.is_(True), BinnedTag.purge_at > utc_now())
    return _change(repository, bin_tag, *hidden, leaving=False)


def discard(repository: str, bin_tag: str) -> None:
    """Let the bin forget a tag that was not removed after all; the worker clears it away."""
    _change(repository, bin_tag, leaving=True, purge_at=utc_now())


def _change(repository: str, bin_tag: str, *which: ColumnElement[bool], **values: Any) -> bool:
    with writing() as session:
        statement = (
            update(BinnedTag)
            .where(BinnedTag.repository == repository, BinnedTag.bin_tag == bin_tag, *which)
            .values(values)
        )
        return bool(update_count(session, statement))


def forget(step: RemovalStep) -> None:
    """Forget what the registry does not have any more under a bin tag."""
    with writing() as session:
        session.execute(
            delete(BinnedTag)
            .where(BinnedTag.repository == step.repository, BinnedTag.bin_tag == step.tag)
            .execution_options(synchronize_session=False)
        )


def forget_gone(repository: str, bin_tags: Collection[str]) -> None:
    """Forget bin tags that went together with everything else of their repository."""
    with writing() as session:
        session.execute(
            delete(BinnedTag)
            .where(BinnedTag.repository == repository, BinnedTag.bin_tag.in_(bin_tags))
            .execution_options(synchronize_session=False)
        )
