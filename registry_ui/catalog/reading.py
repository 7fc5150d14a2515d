"""Read what the store does not know of the tags of a place, for whoever asked for it.

It begins with what is unknown now, so it goes on where an earlier run ended or broke off.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby

from sqlalchemy import select, update

from ..access import at_or_below
from ..distribution.errors import RegistryUnavailable
from ..extensions import db, writing
from ..models import ContainerImage, Project, Tag
from ..names import RepositoryName
from .facts import Gathered, gather
from .footprint import Survey

logger = logging.getLogger(__name__)

#: So many tags are asked for together.
BATCH = 50
#: Seconds for one batch.
DEADLINE = 60.0


def read_contents(path: str) -> int:
    """Read the contents of every tag at and below a place that are not known; return how many were.

    What can't be read is left out; a registry that is down ends it, and changes nothing.
    """
    unknown = list(Survey(db.session(), at_or_below(Project.path, path)).unknown())
    read = 0
    for repository, tags in groupby(unknown, key=lambda tag: tag[0]):
        names = {name: digest for _, name, digest in tags}
        for batch in _batches(list(names)):
            found = gather(RepositoryName(repository), {n: names[n] for n in batch}, DEADLINE)
            _note_digests(repository, found, [name for name in batch if names[name] is None])
            read += len(batch) - len(found.problems)
            if any(isinstance(p, RegistryUnavailable) for p in found.problems.values()):
                logger.warning("reading the contents of %s: the registry does not answer", path)
                return read
    return read


def _batches(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + BATCH] for start in range(0, len(names), BATCH))


def _note_digests(repository: str, found: Gathered, names: list[str]) -> None:
    """Note what tags stand for, unless an event told it meanwhile."""
    image = select(ContainerImage.id).where(ContainerImage.path == repository)
    with writing() as session:
        for name in found.digests.keys() & names:
            session.execute(
                update(Tag)
                .where(Tag.image_id.in_(image), Tag.name == name, Tag.digest.is_(None))
                .values(digest=found.digests[name])
                .execution_options(synchronize_session=False)
            )
