"""What the tags of a repository stand for now, and which of them can't be read.

A tag that can't be read is not a registry that is down: 2.8 answers 500 for a tag whose link
is empty, and 404 for one whose link or manifest is missing, and lists both (docs/protocols.md,
"Found since"). Such a tag is named and kept, and everything else goes on.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import select

from ..distribution.errors import (
    RegistryError,
    RegistryFault,
    RegistryNotFound,
)
from ..extensions import db, release
from ..models import ContainerImage, Tag
from ..names import RepositoryName, TagName
from .connection import registry
from .enumerations import name_some
from .facts import ask

#: Seconds before each further attempt at calls that failed: what is being pushed or removed
#: at this moment is readable or gone by then, and so is a connection that broke.
PAUSES = (0.2, 0.6)
#: Timeout in seconds for asking what tags stand for: for any number of them, and more for each.
PATIENCE, PATIENCE_PER_TAG = 60.0, 0.1
#: What ``Tag.damage`` says, for people.
DAMAGES = {
    "fault": "the registry fails to read it (500)",
    "missing": "the registry lists it, but does not have what it points to (404)",
    "removed": "it was removed, but the registry still lists it, because another tag of this "
    "image can't be read",
}


@dataclass(slots=True)
class LiveTags:
    """Tags as the registry has them.

    ``digests`` are those of tags that can be read. ``damaged`` are listed and can't be read:
    ``fault`` for a 500, ``missing`` for a 404.
    """

    digests: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def faulty(self) -> set[str]:
        """The damaged tags at which 2.8 stumbles when it deletes any other tag."""
        return {name for name, damage in self.damaged.items() if damage == "fault"}

    def add(self, more: LiveTags) -> None:
        """Add tags that were read apart from these."""
        self.digests |= more.digests
        self.damaged |= more.damaged


def read_tags(repository: RepositoryName, names: Iterable[str]) -> LiveTags:
    """Ask what each tag stands for, eight at a time. A tag that goes meanwhile is left out.

    Whatever fails is asked again, after the registry has answered with its list: only what
    fails while the registry answers otherwise is damaged.

    Raises:
        RegistryError: the registry can't be asked, or not all of it in time.
    """
    release()
    found, names = LiveTags(), list(names)
    end = time.monotonic() + PATIENCE + PATIENCE_PER_TAG * len(names)
    problems = _heads(repository, names, found, end)
    for pause in PAUSES:
        if not problems:
            return found
        time.sleep(pause)
        listed = _listed(repository)
        again = [name for name in problems if name in listed]
        problems = _heads(repository, again, found, end)
    for problem in problems.values():
        if _is_down([problem]):
            raise problem
    found.damaged = {
        name: "missing" if isinstance(problem, RegistryNotFound) else "fault"
        for name, problem in problems.items()
    }
    return found


def read_all_tags(repository: RepositoryName) -> LiveTags:
    """Ask for all tags of a repository, those of the bin too, and what they stand for.

    Raises:
        RegistryError: the registry can't be asked.
    """
    release()
    try:
        names = registry().tags(repository)
    except RegistryNotFound:
        return LiveTags()
    return read_tags(repository, names)


def digests_of(repository: RepositoryName, names: Iterable[str]) -> dict[str, str]:
    """Ask what each tag stands for, where nothing may be done unless that is known of all.

    Raises:
        RegistryError: the registry can't be asked, or a tag can't be read.
    """
    found = read_tags(repository, names)
    if found.damaged:
        raise RegistryFault(f"{name_some(found.damaged)} can't be read")
    return found.digests


def damaged_tags(image_id: int) -> dict[str, str]:
    """Return the tags of an image that the index knows as damaged, and how."""
    query = select(Tag.name, Tag.damage).where(Tag.image_id == image_id, Tag.damage.is_not(None))
    return dict(db.session.execute(query.order_by(Tag.name)).all())


def damaged_in(repository: RepositoryName) -> dict[str, str]:
    """Return the same by the name of the repository."""
    query = (
        select(Tag.name, Tag.damage)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.damage.is_not(None))
    )
    return dict(db.session.execute(query.order_by(Tag.name)).all())


def leftovers_in(repository: RepositoryName) -> set[str]:
    """Return the tags of a repository that were removed, and that the registry still lists."""
    return {name for name, damage in damaged_in(repository).items() if damage == "removed"}


def _listed(repository: RepositoryName) -> Collection[str]:
    try:
        return set(registry().tags(repository))
    except RegistryNotFound:
        return ()


def _heads(
    repository: RepositoryName, names: Iterable[str], found: LiveTags, end: float
) -> Mapping[str, RegistryError]:
    """Add what each tag stands for; return what went wrong, by tag."""
    client = registry()
    problems: dict[str, RegistryError] = {}
    calls = {name: partial(client.head, repository, TagName(name)) for name in names}
    found.digests |= ask(calls, end, problems)
    return problems


def _is_down(problems: Iterable[RegistryError]) -> bool:
    """Whether these are the registry's, and not those of some tags alone."""
    return any(not isinstance(problem, RegistryNotFound | RegistryFault) for problem in problems)
