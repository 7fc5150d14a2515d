"""Database rows of container images: creating, locking, and filtering them and their tags."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..models import ContainerImage, Project, Tag, utc_now
from ..names import DIGEST_TAG

#: Number of attempts to insert and lock an image: a concurrent transaction can delete the row after
#: the insert has found it.
ATTEMPTS = 3


def ensure_image(session: Session, project: Project, repository: str) -> ContainerImage:
    """Return the row of the image in ``repository``, which the project owns; insert it if missing.

    The image's row is locked until the end of the transaction.

    Raises:
        NoResultFound: the image is being moved to another path. In a new transaction, the owner of
            the repository is another one.
    """
    name = repository[len(project.path) + 1 :]
    for _ in range(ATTEMPTS):
        insert_if_absent(
            session,
            ContainerImage,
            project_id=project.id,
            name=name,
            path=repository,
            created_at=utc_now(),
            tag_count=0,
            pull_count=0,
        )
        image = lock_image_of(session, repository)
        if image is not None:
            image.emptied_at = None
            return image
    raise NoResultFound(f"{repository} is being moved")


def lock_image(session: Session, image_id: int) -> ContainerImage | None:
    """Lock an image's row until the end of the transaction; return it, or None if it was deleted.

    ContainerImage.select_locked() says who must do this.
    """
    return session.scalar(ContainerImage.select_locked(ContainerImage.id == image_id))


def lock_image_of(session: Session, repository: str) -> ContainerImage | None:
    """Lock the image of a repository like lock_image(); return it, or None if there is none."""
    return session.scalar(ContainerImage.select_locked(ContainerImage.path == repository))


def is_listed() -> ColumnElement[bool]:
    """Return the condition for images that lists show: all except those with only trashed tags."""
    return ContainerImage.emptied_at.is_(None)


def attached() -> ColumnElement[bool]:
    """Return the condition for digest tags, which hold signatures and SBOMs (PROTOCOLS 4.4).

    The name of a digest tag contains the digest that it describes: ``sha256-<hex>.sig``. The whole
    name must match; ``sha256-x`` is an ordinary tag. The prefix is compared first, because SQLite
    calls Python to match a regular expression.
    """
    has_prefix = Tag.name.between("sha256-", "sha512-~")
    return and_(has_prefix, Tag.name.regexp_match(f"^{DIGEST_TAG}$"))


def count_tags(session: Session, image: ContainerImage) -> None:
    """Set an image's ``tag_count`` to the number of its tags, excluding signatures and SBOMs."""
    query = select(func.count()).select_from(Tag).where(Tag.image_id == image.id, ~attached())
    image.tag_count = session.scalar(query) or 0
