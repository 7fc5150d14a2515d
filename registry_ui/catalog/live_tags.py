"""What the tags of a repository stand for now, and which of them can't be read.

A tag that can't be read is not a registry that is down: 2.8 answers 500 for a tag whose link
is empty, and 404 for one whose link or manifest is missing, and lists both (docs/protocols.md,
"Found since"). Such a tag is named and kept, and everything else goes on. The same holds for a
tag that the registry takes too long to read while it answers other requests: a manifest that
names the same layer 26,000 times costs it 0.2 seconds of a processor for each HEAD.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import select

from ..db.session import db, end_read
from ..distribution.call_timeout import at_least
from ..distribution.errors import (
    RegistryError,
    RegistryFault,
    RegistryNotFound,
    RegistryTimeout,
    RegistryUnavailable,
)
from ..enumerations import name_some
from ..manifests.store import PATIENT_TIMEOUT, call_all, call_in_turn
from ..models import ContainerImage, Tag
from ..names import RepositoryName, TagName
from ..registry_connection import registry

#: Seconds before each further attempt at calls that failed: what is being pushed or removed
#: at this moment is readable or gone by then, and so is a connection that broke.
PAUSES = (0.2, 0.6)
#: Timeout in seconds for asking what tags stand for: for any number of them, and more for each.
PATIENCE, PATIENCE_PER_TAG = 60.0, 0.1
#: Timeout in seconds for asking again, one after the other, for tags that the registry was too
#: slow to read: for all of them together.
SLOW_TAGS_TIMEOUT = 20.0
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
    ``fault`` for a 500, ``missing`` for a 404. ``unanswered`` are listed, and the registry did
    not answer for them now, although it answered other requests; they may be intact, so they
    are neither marked nor removed. Each has the reason.
    """

    digests: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)

    @property
    def faulty(self) -> set[str]:
        """The damaged tags at which 2.8 stumbles when it deletes any other tag."""
        return {name for name, damage in self.damaged.items() if damage == "fault"}

    def add(self, more: LiveTags) -> None:
        """Add tags that were read apart from these."""
        self.digests |= more.digests
        self.damaged |= more.damaged
        self.unanswered |= more.unanswered

    @property
    def trouble(self) -> RegistryUnavailable:
        """What is wrong with the tags for which the registry does not answer."""
        reasons = ", ".join(sorted(set(self.unanswered.values())))
        return RegistryUnavailable(f"{name_some(self.unanswered)} can't be read now: {reasons}")

    def require_answers(self) -> None:
        """Raise RegistryUnavailable if the registry does not answer for a tag."""
        if self.unanswered:
            raise self.trouble


def read_tags(
    repository: RepositoryName, names: Iterable[str], *, slow_timeout: float = SLOW_TAGS_TIMEOUT
) -> LiveTags:
    """Ask what each tag stands for, eight at a time. A tag that goes meanwhile is left out.

    Whatever fails is asked again, after the registry has answered with its list: only what
    fails while the registry answers otherwise is damaged or unanswered. Eight calls at a time
    can be the reason why they time out, so these are made again one after the other, with a
    longer timeout.

    Args:
        slow_timeout: timeout in seconds for asking again for all tags that timed out.

    Raises:
        RegistryError: the registry can't be asked.
    """
    end_read()
    found, names = LiveTags(), list(names)
    end = time.monotonic() + PATIENCE + PATIENCE_PER_TAG * len(names)
    problems = _heads(repository, names, found, end)
    slow_end: float | None = None
    for pause in PAUSES:
        if not problems:
            return found
        time.sleep(pause)
        listed = _listed(repository)
        again = {name: problem for name, problem in problems.items() if name in listed}
        slow = [name for name, problem in again.items() if isinstance(problem, RegistryTimeout)]
        problems = _heads(repository, again.keys() - set(slow), found, end)
        if slow:
            slow_end = slow_end or min(end, time.monotonic() + slow_timeout)
            problems |= _heads_in_turn(repository, slow, found, slow_end)
    _sort_out(repository, problems, found)
    return found


def read_all_tags(repository: RepositoryName) -> LiveTags:
    """Ask for all tags of a repository, those of the bin too, and what they stand for.

    Raises:
        RegistryError: the registry can't be asked.
    """
    end_read()
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
    found.require_answers()
    if found.damaged:
        raise RegistryFault(f"{name_some(found.damaged)} can't be read")
    return found.digests


def damaged_tags(image_id: int) -> dict[str, str]:
    """Return the tags of an image that the index knows as damaged, and how."""
    query = select(Tag.name, Tag.damage).where(Tag.image_id == image_id, Tag.damage.is_not(None))
    rows = db.session.execute(query.order_by(Tag.name))
    return {name: damage for name, damage in rows if damage is not None}


def damaged_tags_of(repository: RepositoryName) -> dict[str, str]:
    """Return the same by the name of the repository."""
    query = (
        select(Tag.name, Tag.damage)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.damage.is_not(None))
    )
    rows = db.session.execute(query.order_by(Tag.name))
    return {name: damage for name, damage in rows if damage is not None}


def leftovers_in(repository: RepositoryName) -> set[str]:
    """Return the tags of a repository that were removed, and that the registry still lists."""
    return {name for name, damage in damaged_tags_of(repository).items() if damage == "removed"}


def _listed(repository: RepositoryName) -> Collection[str]:
    """Return the list of tags: a registry that is busy with others has longer for it."""
    try:
        with at_least(PATIENT_TIMEOUT):
            return set(registry().tags(repository))
    except RegistryNotFound:
        return ()


def _heads(
    repository: RepositoryName, names: Iterable[str], found: LiveTags, end: float
) -> dict[str, RegistryError]:
    """Add what each tag stands for; return what went wrong, by tag."""
    problems: dict[str, RegistryError] = {}
    found.digests |= call_all(_head_calls(repository, names), end, problems)
    return problems


def _heads_in_turn(
    repository: RepositoryName, names: Iterable[str], found: LiveTags, end: float
) -> dict[str, RegistryError]:
    """Add what each tag stands for, as _heads() does, one after the other."""
    problems: dict[str, RegistryError] = {}
    found.digests |= call_in_turn(_head_calls(repository, names), end, problems)
    return problems


def _head_calls(
    repository: RepositoryName, names: Iterable[str]
) -> Mapping[str, Callable[[], str]]:
    client = registry()
    return {name: partial(client.head, repository, TagName(name)) for name in names}


def _sort_out(
    repository: RepositoryName, problems: Mapping[str, RegistryError], found: LiveTags
) -> None:
    """Add the tags that could not be read, by what is wrong with them.

    Raises:
        RegistryError: the registry does not answer at all, or refuses to.
    """
    for problem in problems.values():
        if not isinstance(problem, RegistryNotFound | RegistryUnavailable):
            raise problem
    unanswered = {
        name: str(problem)
        for name, problem in problems.items()
        if isinstance(problem, RegistryUnavailable) and not isinstance(problem, RegistryFault)
    }
    if unanswered:
        listed = _listed(repository)
        found.unanswered = {name: why for name, why in unanswered.items() if name in listed}
    found.damaged = {
        name: "missing" if isinstance(problem, RegistryNotFound) else "fault"
        for name, problem in problems.items()
        if name not in unanswered
    }


def unreadable_tags_that_stay(
    repository: RepositoryName, live: LiveTags, going: Collection[str] = ()
) -> set[str]:
    """Return the tags that stay and can't be read: they may need any manifest.

    A tag that was removed, and is still listed, needs none.

    Args:
        going: tags that go themselves, of which the manifests may have gone already.
    """
    need_nothing = leftovers_in(repository).union(going)
    end_read()
    damaged = {n for n, d in live.damaged.items() if d != "missing" or n not in need_nothing}
    # One that goes itself may have been pushed again since it was planned.
    return damaged | live.unanswered.keys()
