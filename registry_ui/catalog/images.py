"""The rows of the index: whose a repository is, its image, its tags."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..models import ContainerImage, Project, Tag, utc_now
from ..names import DIGEST_TAG


def ensure_image(session: Session, project: Project, repository: str) -> ContainerImage:
    """Return the image of a repository that belongs to ``project``, made if need be."""
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
    query = select(ContainerImage).where(ContainerImage.path == repository).with_for_update()
    image = session.scalars(query).one()
    image.emptied_at = None
    return image


def is_listed() -> ColumnElement[bool]:
    """Match the images that people see: not those of which only the bin has something."""
    return ContainerImage.emptied_at.is_(None)


def attached() -> ColumnElement[bool]:
    """Match the tags that sign or describe a digest, by the letter: ``sha256-x`` is none.

    A look at the beginning comes first: on SQLite a regular expression is asked of Python.
    """
    may_be = Tag.name.between("sha256-", "sha512-~")
    return and_(may_be, Tag.name.regexp_match(f"^{DIGEST_TAG}$"))


def count_tags(session: Session, image: ContainerImage) -> None:
    """Set an image's ``tag_count`` from its rows; signatures and the like are none to people."""
    query = select(func.count()).select_from(Tag).where(Tag.image_id == image.id, ~attached())
    image.tag_count = session.scalar(query) or 0
