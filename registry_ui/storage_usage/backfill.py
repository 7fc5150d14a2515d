"""Read manifests of tags that are not stored yet: for a path on request, and after each push.

A run begins with the tags that are unknown then, so it continues where an earlier run ended or
was interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from itertools import groupby

from sqlalchemy import exists, select, update

from ..access import at_or_below
from ..db.session import db, writing
from ..distribution.errors import RegistryUnavailable
from ..manifests.graph import graph_of
from ..manifests.store import FetchSummary, ensure_fetched
from ..models import ContainerImage, IndexChild, Project, RepositoryManifest, Tag
from ..names import RepositoryName
from .survey import UsageScan

logger = logging.getLogger(__name__)

#: Number of tags that are read from the registry in one batch.
BATCH_SIZE = 50
#: Timeout in seconds for one batch.
BATCH_TIMEOUT = 60.0
#: Timeout in seconds for a pushed manifest, and again for those below it that no page reads.
PUSH_TIMEOUT = 30.0


def read_contents(path: str) -> int:
    """Read the unknown contents of the tags at and below a path; return how many tags were read.

    Tags that can't be read are skipped. If the registry does not answer, the run ends early, and
    everything that was read before is kept.
    """
    unread_tags = list(UsageScan(db.session(), at_or_below(Project.path, path)).unknown())
    read_count = 0
    for image_path, tags in groupby(unread_tags, key=lambda tag: tag[0]):
        repository = RepositoryName(image_path)
        digests = {name: digest for _, name, digest in tags}
        for batch in _split_into_batches(list(digests)):
            summary = ensure_fetched(repository, {n: digests[n] for n in batch}, BATCH_TIMEOUT)
            _store_digests(repository, summary, [n for n in batch if digests[n] is None])
            _fetch_other_children(repository, set(summary.digests.values()), BATCH_TIMEOUT)
            read_count += len(batch) - len(summary.problems)
            if any(isinstance(p, RegistryUnavailable) for p in summary.problems.values()):
                logger.warning("reading the contents of %s: the registry does not answer", path)
                return read_count
    return read_count


def fetch_summaries(repository: RepositoryName, digest: str) -> None:
    """Fetch a pushed manifest and everything below it, so that the first page view is fast.

    It also lets a pull by digest count for a tag, which is only possible for indexes that were
    read.
    """
    ensure_fetched(repository, {digest: digest}, PUSH_TIMEOUT)
    _fetch_other_children(repository, {digest}, PUSH_TIMEOUT)


def _fetch_other_children(
    repository: RepositoryName, digests: Collection[str], timeout: float
) -> None:
    """Read entries of indexes that pages do not need: without a media type, or deeply nested."""
    image = select(ContainerImage.id).where(ContainerImage.path == str(repository))
    in_repository = exists().where(
        RepositoryManifest.image_id.in_(image), RepositoryManifest.digest == IndexChild.child
    )
    query = select(IndexChild.parent).where(IndexChild.parent.in_(digests), ~in_repository)
    if incomplete_indexes := set(db.session.scalars(query.distinct())):
        graph_of(repository, incomplete_indexes, timeout)


def _split_into_batches(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + BATCH_SIZE] for start in range(0, len(names), BATCH_SIZE))


def _store_digests(repository: RepositoryName, summary: FetchSummary, names: list[str]) -> None:
    """Store the digests of tags that had none, unless an event has set them meanwhile."""
    image = select(ContainerImage.id).where(ContainerImage.path == str(repository))
    with writing() as session:
        for name in summary.digests.keys() & names:
            session.execute(
                update(Tag)
                .where(Tag.image_id.in_(image), Tag.name == name, Tag.digest.is_(None))
                .values(digest=summary.digests[name])
                .execution_options(synchronize_session=False)
            )
