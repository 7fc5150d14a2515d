"""Fetch manifests that the database does not contain yet.

They are fetched on request for all tags at and below a path, and after each push for the pushed
manifest. A run for a path reads only tags whose contents are still unknown, so it continues where
an interrupted run ended.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from itertools import groupby

from sqlalchemy import exists, select, update

from ..access import at_or_below
from ..batches import split_into_batches
from ..db.session import db, writing
from ..distribution.errors import RegistryUnavailable
from ..manifests.graph import graph_of
from ..manifests.store import FetchSummary, ensure_fetched
from ..models import ContainerImage, IndexChild, Project, RepositoryManifest, Tag
from ..names import RepositoryName
from .survey import UsageScan

logger = logging.getLogger(__name__)

#: Number of tags whose manifests are fetched in one batch.
BATCH_SIZE = 50
#: Timeout in seconds for one batch of tags.
BATCH_TIMEOUT = 60.0
#: Timeout in seconds for a pushed manifest, and again for its descendants that no page shows.
PUSH_TIMEOUT = 30.0


def read_contents(path: str) -> int:
    """Fetch the manifests of tags whose contents are not stored yet; return the number of tags.

    Tags that can't be read are skipped. If the registry does not answer, reading ends early, and
    the manifests fetched before are kept.

    Args:
        path: the tags of all projects at or below this path are read.
    """
    unread_tags = list(UsageScan(db.session(), at_or_below(Project.path, path)).list_unread())
    read_count = 0
    for image_path, tags in groupby(unread_tags, key=lambda tag: tag[0]):
        repository = RepositoryName(image_path)
        digests = {name: digest for _, name, digest in tags}
        for batch in split_into_batches(digests, BATCH_SIZE):
            summary = ensure_fetched(repository, {n: digests[n] for n in batch}, BATCH_TIMEOUT)
            _store_digests(repository, summary, [n for n in batch if digests[n] is None])
            _fetch_other_children(repository, set(summary.digests.values()), BATCH_TIMEOUT)
            read_count += len(batch) - len(summary.problems)
            if any(isinstance(p, RegistryUnavailable) for p in summary.problems.values()):
                logger.warning("reading the contents of %s: the registry does not answer", path)
                return read_count
    return read_count


def fetch_summaries(repository: RepositoryName, digest: str) -> None:
    """Fetch a pushed manifest and all manifests below it, so that the first page view is fast.

    This also makes pulls by digest countable: a pull of a child manifest counts for a tag only if
    the OCI index of the tag is stored.

    Args:
        repository: the repository of the push.
        digest: the digest of the pushed manifest.
    """
    ensure_fetched(repository, {digest: digest}, PUSH_TIMEOUT)
    _fetch_other_children(repository, {digest}, PUSH_TIMEOUT)


def _fetch_other_children(
    repository: RepositoryName, digests: Collection[str], timeout: float
) -> None:
    """Fetch entries of OCI indexes that pages do not show: without media type or deeply nested."""
    image = select(ContainerImage.id).where(ContainerImage.path == str(repository))
    in_repository = exists().where(
        RepositoryManifest.image_id.in_(image), RepositoryManifest.digest == IndexChild.child
    )
    query = select(IndexChild.parent).where(IndexChild.parent.in_(digests), ~in_repository)
    if incomplete_indexes := set(db.session.scalars(query.distinct())):
        graph_of(repository, incomplete_indexes, timeout)


def _store_digests(repository: RepositoryName, summary: FetchSummary, names: list[str]) -> None:
    """Store the digests of tags without one, unless a notification has set them meanwhile."""
    image = select(ContainerImage.id).where(ContainerImage.path == str(repository))
    with writing() as session:
        for name in summary.digests.keys() & names:
            session.execute(
                update(Tag)
                .where(Tag.image_id.in_(image), Tag.name == name, Tag.digest.is_(None))
                .values(digest=summary.digests[name])
                .execution_options(synchronize_session=False)
            )
