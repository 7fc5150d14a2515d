"""Rows of the index for container images, and filters for them and their tags."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..models import ContainerImage, Project, Tag, utc_now
from ..names import DIGEST_TAG


def ensure_image(session: Session, project: Project, repository: str) -> ContainerImage:
    """Return the image of a repository that belongs to ``project``, creating it if necessary.

    The image's row is locked until the end of the transaction.
    """
    name = repository[len(project.path) + 1 :]
    insert_if_absent(
        session,
        ContainerImage,
        project_id=project.id,
        name=name,
        path=repository,
        created_at=utc_now(),
        tag_count=0,
        pull_count=0,
        reconcile_wanted=False,
    )
    image = session.scalars(_locked(ContainerImage.path == repository)).one()
    image.emptied_at = None
    return image


def lock_image(session: Session, image_id: int) -> ContainerImage | None:
    """Lock an image's row until the end of the transaction; return it, or None if it is gone.

    A transaction that inserts, changes, or deletes tags locks their images before the tags.
    Otherwise two transactions can wait for each other, and PostgreSQL cancels one of them; and
    each of them would store a ``tag_count`` that lacks the other's tags.
    """
    return session.scalar(_locked(ContainerImage.id == image_id))


def lock_image_of(session: Session, repository: str) -> ContainerImage | None:
    """Lock the image of a repository, as lock_image() does by its id."""
    return session.scalar(_locked(ContainerImage.path == repository))


def _locked(condition: ColumnElement[bool]) -> Select[ContainerImage]:
    # Rows that refer to the image (manifests, pulls) can still be inserted: that is KEY SHARE.
    query = select(ContainerImage).where(condition).with_for_update(key_share=True)
    return query.execution_options(populate_existing=True)


def is_listed() -> ColumnElement[bool]:
    """Match the images that users see: an image whose only tags are in the trash is hidden."""
    return ContainerImage.emptied_at.is_(None)


def attached() -> ColumnElement[bool]:
    """Match digest tags, which hold what signs or describes a manifest (PROTOCOLS 4.4).

    The whole name must match: ``sha256-x`` is an ordinary tag. The prefix is compared first
    because SQLite calls Python for every regular expression.
    """
    has_prefix = Tag.name.between("sha256-", "sha512-~")
    return and_(has_prefix, Tag.name.regexp_match(f"^{DIGEST_TAG}$"))


def count_tags(session: Session, image: ContainerImage) -> None:
    """Set an image's ``tag_count`` from its rows, without signatures and other digest tags."""
    query = select(func.count()).select_from(Tag).where(Tag.image_id == image.id, ~attached())
    image.tag_count = session.scalar(query) or 0
