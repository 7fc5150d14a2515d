"""Orphans: tags of signatures, SBOMs, and attestations whose subject is no longer tagged.

The name of such a "digest tag" contains the digest of its subject: ``sha256-<hex>.sig``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy import select

from ..db.session import db
from ..distribution.errors import RegistryNotFound
from ..manifests.batch_calls import call_all
from ..models import ContainerImage, IndexChild, TrashedTag
from ..names import Digest, RepositoryName, subject_of
from ..registry_connection import registry
from .queries import subjects, tag_names
from .rows import group_attached_tags

#: Timeout in seconds for asking the registry whether the subjects of digest tags exist.
TIMEOUT = 20.0


def orphans(image: ContainerImage) -> set[str]:
    """Return the digest tags of an image, such as signatures, whose subject no tag refers to.

    A tag refers to a subject if the tag points to the subject, points to an OCI index that lists
    the subject, or pointed to the subject earlier. Because tags in the trash can be restored, their
    signatures are not orphans. The registry is not asked.
    """
    names = tag_names(image.id)
    _, ungrouped_names = group_attached_tags(names, subjects(image.id, names))
    subjects_by_name = {name: subject for name in ungrouped_names if (subject := subject_of(name))}
    if not subjects_by_name:
        return set()
    restorable = _select_subjects_in_trash(image.path, set(subjects_by_name.values()))
    return {name for name, subject in subjects_by_name.items() if subject not in restorable}


def _select_subjects_in_trash(repository: str, digests: Collection[str]) -> set[str]:
    trash_digests = select(TrashedTag.digest).where(TrashedTag.repository == repository)
    child_digests = select(IndexChild.child).where(
        IndexChild.parent.in_(trash_digests), IndexChild.child.in_(digests)
    )
    return set(db.session.scalars(trash_digests.union(child_digests)))


def without_subject(image: ContainerImage, names: Collection[str]) -> set[str]:
    """Return the digest tags in ``names`` whose subject the registry does not have in the image.

    The registry is asked, because an untagged manifest can still be pulled by digest, and its
    signature verified. If the registry gives no answer about a subject, the digest tags of the
    subject are not returned.
    """
    return with_missing_subject(RepositoryName(image.path), names)


def with_missing_subject(repository: RepositoryName, names: Collection[str]) -> set[str]:
    """Return the digest tags in ``names`` whose subject a repository does not have.

    Like without_subject(), but for a repository that need not have an image row in the database.
    """
    subjects_by_name = {name: subject for name in names if (subject := subject_of(name))}
    calls: dict[str, Callable[[], str]] = {
        subject: partial(registry().head, repository, Digest(subject))
        for subject in set(subjects_by_name.values())
    }
    problems = call_all(calls, time.monotonic() + TIMEOUT).problems
    return {
        name
        for name, subject in subjects_by_name.items()
        if isinstance(problems.get(subject), RegistryNotFound)
    }
