"""Sources of copies that no project owns ("unassigned" repositories).

The tags of unassigned repositories are not stored in the database.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import owning_project
from ..db.session import end_read
from ..distribution.errors import RegistryError
from ..errors import NotFound
from ..models import UnassignedRepository
from ..names import RepositoryName, subject_of, without_trash
from ..registry_connection import list_tags, unreachable_from_message


def is_unassigned(session: Session, name: RepositoryName) -> bool:
    """Return whether a repository is recorded as one in the registry that no project owns."""
    query = select(UnassignedRepository.path).where(UnassignedRepository.path == str(name))
    return session.scalar(query) is not None and owning_project(session, str(name)) is None


def require_unassigned(session: Session, name: RepositoryName) -> None:
    """Raise NotFound unless the registry has a repository that no project owns."""
    if not is_unassigned(session, name):
        raise NotFound(f"There is no unassigned repository “{name}”.")


def tags_of_unassigned(name: RepositoryName) -> list[str]:
    """Return the tags to copy from an unassigned repository, as listed by the registry.

    Referrer tags, such as signatures, are left out, because they are copied along with their
    subjects. They are returned only if the repository has no tags of any other kind.

    Raises:
        NotFound: the registry does not have the repository, or lists no tags of it.
        RegistryUnreachable: the registry cannot be reached.
    """
    end_read()
    try:
        tags = without_trash(list_tags(name))
    except RegistryError as error:
        raise unreachable_from_message(str(error)) from None
    if not tags:
        raise NotFound(f"The repository “{name}” has no tags.")
    return [tag for tag in tags if subject_of(tag) is None] or tags
