"""Copy from unassigned repositories, which no project owns and whose tags are not indexed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import owning_project
from ..db.session import end_read
from ..distribution.errors import RegistryError, RegistryNotFound
from ..errors import NotFound, RegistryUnreachable
from ..models import UnassignedRepository
from ..names import RepositoryName, is_trash_tag, subject_of
from ..registry_connection import registry


def is_unassigned(session: Session, name: RepositoryName) -> bool:
    """Whether the registry has this repository and no project owns it."""
    query = select(UnassignedRepository.path).where(UnassignedRepository.path == str(name))
    return session.scalar(query) is not None and owning_project(session, str(name)) is None


def require_unassigned(session: Session, name: RepositoryName) -> None:
    """Raise NotFound unless a repository is unassigned."""
    if not is_unassigned(session, name):
        raise NotFound(f"There is no unassigned repository “{name}”.")


def tags_of_unassigned(name: RepositoryName) -> list[str]:
    """Return the tags to copy, as listed by the registry.

    Referrer tags, such as signatures, are left out, because they are copied along with their
    subjects; they are returned only if there are no other tags.

    Raises:
        NotFound: the registry has no such repository, or it has no tags.
        RegistryUnreachable: the registry cannot be reached.
    """
    end_read()
    try:
        tags = [tag for tag in registry().tags(name) if not is_trash_tag(tag)]
    except RegistryNotFound:
        tags = []
    except RegistryError as error:
        raise RegistryUnreachable(
            f"The registry could not be asked: {error}.", hint="Nothing was changed. Try again."
        ) from None
    if not tags:
        raise NotFound(f"The repository “{name}” has no tags.")
    return [tag for tag in tags if subject_of(tag) is None] or tags
