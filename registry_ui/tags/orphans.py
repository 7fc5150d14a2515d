"""Orphans: tags of signatures and attestations whose subject is no longer tagged."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy import select

from ..db.session import db
from ..distribution.errors import RegistryError, RegistryNotFound
from ..manifests.store import call_all
from ..models import BinnedTag, ContainerImage, IndexChild
from ..names import Digest, RepositoryName, subject_of
from ..registry_connection import registry
from .queries import subjects, tag_names
from .rows import group_attached_tags

#: Timeout in seconds for checking in the registry whether subjects still exist.
DEADLINE = 20.0


def orphans(image: ContainerImage) -> set[str]:
    """Return the digest tags, such as signatures, whose subject no tag refers to.

    A tag refers to a subject if it points to its digest, points to an OCI index that lists it, or
    pointed to it earlier. Tags in the trash can be restored, so the signatures of their images
    are not orphans. The registry is not asked.
    """
    names = tag_names(image.id)
    _, shown = group_attached_tags(names, subjects(image.id, names))
    found = {name: subject for name in shown if (subject := subject_of(name))}
    if not found:
        return set()
    binned = _binned(image.path, set(found.values()))
    return {name for name, subject in found.items() if subject not in binned}


def _binned(repository: str, digests: Collection[str]) -> set[str]:
    held = select(BinnedTag.digest).where(BinnedTag.repository == repository)
    listed = select(IndexChild.child).where(
        IndexChild.parent.in_(held), IndexChild.child.in_(digests)
    )
    return set(db.session.scalars(held.union(listed)))


def without_subject(image: ContainerImage, names: Collection[str]) -> set[str]:
    """Return the digest tags in ``names`` whose subject the registry does not have.

    An untagged manifest can still be pulled by digest and its signature verified. If the registry
    gives no answer about a subject, its signature is not returned.
    """
    return with_missing_subject(RepositoryName(image.path), names)


def with_missing_subject(repository: RepositoryName, names: Collection[str]) -> set[str]:
    """Return the digest tags in ``names`` whose subject the repository does not have.

    It is without_subject() for a repository that has no row in the index.
    """
    found = {name: subject for name in names if (subject := subject_of(name))}
    calls: dict[str, Callable[[], str]] = {
        subject: partial(registry().head, repository, Digest(subject))
        for subject in set(found.values())
    }
    problems: dict[str, RegistryError] = {}
    call_all(calls, time.monotonic() + DEADLINE, problems)
    return {
        name
        for name, subject in found.items()
        if isinstance(problems.get(subject), RegistryNotFound)
    }
