"""Moving a tag to the bin, as a step of a removal, and forgetting it there."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update

from ..extensions import writing
from ..models import BinnedTag, ContainerImage, Removal, Tag, utc_now
from ..names import Digest, RepositoryName, TagName
from ..storage import insert_new
from .connection import registry
from .index import owning_project


def put_into_bin(removal: Removal, step: dict[str, Any]) -> None:
    """Keep a tag's manifest under the bin tag that the step names; safe to repeat.

    Raises:
        RegistryError: the registry did not take it.
    """
    repository = RepositoryName(step["repository"])
    manifest = registry().manifest(repository, Digest(step["digest"]))
    registry().put_manifest(repository, TagName(step["bin"]), manifest.body, manifest.media_type)
    with writing() as session:
        project = owning_project(session, str(repository))
        if project is None:
            return
        pushed = session.execute(
            select(Tag.pushed_at, Tag.pushed_by, Tag.pull_count, Tag.last_pulled_at)
            .join(ContainerImage, ContainerImage.id == Tag.image_id)
            .where(ContainerImage.path == str(repository), Tag.name == step["tag"])
        ).first()
        insert_new(
            session,
            BinnedTag,
            project_id=project.id,
            repository=str(repository),
            tag=step["tag"],
            bin_tag=step["bin"],
            digest=step["digest"],
            pushed_at=pushed.pushed_at if pushed else None,
            pushed_by=pushed.pushed_by if pushed else None,
            pull_count=pushed.pull_count if pushed else 0,
            last_pulled_at=pushed.last_pulled_at if pushed else None,
            removed_at=utc_now(),
            removed_by=removal.requested_by,
            purge_at=utc_now() + timedelta(days=step["days"]),
            leaving=False,
        )


def take_back(step: dict[str, Any]) -> None:
    """Let the bin forget a tag that was not removed after all; the worker clears it away."""
    with writing() as session:
        session.execute(
            update(BinnedTag)
            .where(BinnedTag.repository == step["repository"], BinnedTag.bin_tag == step["bin"])
            .values(leaving=True, purge_at=utc_now())
            .execution_options(synchronize_session=False)
        )


def forget(step: dict[str, Any]) -> None:
    """Forget what the registry does not have any more under a bin tag."""
    with writing() as session:
        session.execute(
            delete(BinnedTag)
            .where(BinnedTag.repository == step["repository"], BinnedTag.bin_tag == step["tag"])
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
