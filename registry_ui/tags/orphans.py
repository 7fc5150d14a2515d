"""Signatures and attestations whose image is gone: tags that speak of a digest nobody has."""

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

#: Timeout in seconds for asking the registry whether subjects are gone.
DEADLINE = 20.0


def orphans(image: ContainerImage) -> set[str]:
    """Return the signature tags whose subject no tag leads to, as far as the index knows.

    A subject is reached by a tag that has its digest, lists it in its index, or had it
    earlier. What the bin holds can be restored, so its signatures are no orphans.
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
    """Return those of these signature tags whose subject the registry does not have.

    A manifest without a tag can still be pulled by its digest, and its signature checked. If
    the registry does not answer about a subject, its signature is not returned.
    """
    return with_missing_subject(RepositoryName(image.path), names)


def with_missing_subject(repository: RepositoryName, names: Collection[str]) -> set[str]:
    """Return the same by the name of the repository."""
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
