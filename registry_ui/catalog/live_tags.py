"""Read the digests that the tags of a repository point to now, and find unreadable tags.

An unreadable tag does not mean that the registry is down. Distribution 2.8 answers 500 for a tag
whose link file is empty, answers 404 for a tag whose link file or manifest is missing, and lists
both kinds of tag (docs/protocols.md, "Found since"). Such a tag is reported and kept, and the
other tags are processed. A tag that times out while the registry answers other requests is treated
in the same way: for example, a manifest that names the same layer 26,000 times costs the registry
0.2 seconds of CPU time per HEAD.
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
    RegistryFault,
    RegistryNotFound,
    RegistryTimeout,
    RegistryUnavailable,
)
from ..enumerations import name_some
from ..manifests.batch_calls import PATIENT_TIMEOUT, CallResults, call_all, call_in_turn
from ..models import ContainerImage, Tag
from ..names import RepositoryName, TagName
from ..registry_connection import list_tags, registry

#: Pause in seconds before each retry of failed calls. A push or deletion in progress usually
#: finishes during the pause, and a broken connection is replaced.
PAUSES = (0.2, 0.6)
#: Timeout in seconds for reading the digests of tags: a fixed part, and an additional part per tag.
TIMEOUT, TIMEOUT_PER_TAG = 60.0, 0.1
#: Timeout in seconds for all retries of tags that timed out, which are read one at a time.
SLOW_TAGS_TIMEOUT = 20.0
#: User-visible explanation of each value of ``Tag.damage``.
DAMAGES = {
    "fault": "the registry fails to read it (500)",
    "missing": "the registry lists it, but does not have what it points to (404)",
    "removed": "it was removed, but the registry still lists it, because another tag of this "
    "image can't be read",
}


@dataclass(slots=True)
class LiveTags:
    """The tags of one repository as the registry has them now, with their digests.

    Attributes:
        digests: digest by tag name, for tags that can be read.
        damaged: reason by tag name, for listed tags that can't be read: ``fault`` if the registry
            answers 500, ``missing`` if it answers 404.
        unanswered: error message by tag name, for listed tags for which the registry gave no answer
            although it answered other requests. They may be intact, so they are neither marked
            as damaged nor removed.
    """

    digests: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)

    @property
    def faulty(self) -> set[str]:
        """The damaged tags that make Distribution 2.8 fail when it deletes any other tag."""
        return {name for name, damage in self.damaged.items() if damage == "fault"}

    def add(self, other: LiveTags) -> None:
        """Add the tags of ``other``, which replace tags of the same name."""
        self.digests |= other.digests
        self.damaged |= other.damaged
        self.unanswered |= other.unanswered

    @property
    def trouble(self) -> RegistryUnavailable:
        """The error to raise if unanswered tags are not acceptable; the message names them."""
        reasons = ", ".join(sorted(set(self.unanswered.values())))
        return RegistryUnavailable(f"{name_some(self.unanswered)} can't be read now: {reasons}")

    def require_answers(self) -> None:
        """Raise RegistryUnavailable if there are unanswered tags."""
        if self.unanswered:
            raise self.trouble


def read_tags(
    repository: RepositoryName, names: Iterable[str], *, slow_timeout: float = SLOW_TAGS_TIMEOUT
) -> LiveTags:
    """Read the digest of each tag from the registry, with eight concurrent HEAD requests.

    Failed calls are retried after the registry has returned its list of tags, so that a tag counts
    as damaged or unanswered only if it fails while other requests succeed. Calls that timed out
    are retried one at a time with a longer timeout, because concurrency can be the cause. A tag
    that is deleted during the calls is left out.

    Args:
        repository: the repository that has the tags.
        names: the tags to read.
        slow_timeout: timeout in seconds for all retries of tags that timed out.

    Raises:
        RegistryError: the registry is unavailable or refuses the request.
    """
    end_read()
    calls = _create_head_calls(repository, names)
    end = time.monotonic() + TIMEOUT + TIMEOUT_PER_TAG * len(calls)
    results = call_all(calls, end)
    slow_tags_end: float | None = None
    for pause in PAUSES:
        if not results.problems:
            break
        time.sleep(pause)
        results = results.keep_problems(_fetch_list(repository))
        to_retry = results.problems
        slow = [name for name, problem in to_retry.items() if isinstance(problem, RegistryTimeout)]
        results = results.merge_retries(
            call_all({name: calls[name] for name in to_retry.keys() - set(slow)}, end)
        )
        if slow:
            slow_tags_end = slow_tags_end or min(end, time.monotonic() + slow_timeout)
            results = results.merge_retries(
                call_in_turn({name: calls[name] for name in slow}, slow_tags_end)
            )
    return _live_tags_from_results(repository, results)


def read_all_tags(repository: RepositoryName) -> LiveTags:
    """Read all tags of a repository from the registry, including the trash, with their digests.

    The result has no tags if the registry does not have the repository.

    Raises:
        RegistryError: the registry is unavailable or refuses the request.
    """
    end_read()
    return read_tags(repository, list_tags(repository))


def digests_of(repository: RepositoryName, names: Iterable[str]) -> dict[str, str]:
    """Read tags from the registry and return their digests by tag name.

    Tags that the registry no longer lists are left out.

    Raises:
        RegistryError: the registry is unavailable, or one of the listed tags can't be read.
    """
    live = read_tags(repository, names)
    live.require_answers()
    if live.damaged:
        raise RegistryFault(f"{name_some(live.damaged)} can't be read")
    return live.digests


def damaged_tags(image_id: int) -> dict[str, str]:
    """Return the tags of an image that are marked as damaged in the database: damage by name."""
    query = select(Tag.name, Tag.damage).where(Tag.image_id == image_id, Tag.damage.is_not(None))
    rows = db.session.execute(query.order_by(Tag.name))
    return {name: damage for name, damage in rows if damage is not None}


def damaged_tags_of(repository: RepositoryName) -> dict[str, str]:
    """Return the tags of a repository that the database marks as damaged: damage by name."""
    query = (
        select(Tag.name, Tag.damage)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.damage.is_not(None))
    )
    rows = db.session.execute(query.order_by(Tag.name))
    return {name: damage for name, damage in rows if damage is not None}


def leftovers_in(repository: RepositoryName) -> set[str]:
    """Return the tags that users removed but that the registry still lists in a repository.

    The database marks such a tag with the damage ``removed``.
    """
    return {name for name, damage in damaged_tags_of(repository).items() if damage == "removed"}


def _fetch_list(repository: RepositoryName) -> Collection[str]:
    """Return list_tags() as a set. The timeout is PATIENT_TIMEOUT, in case the registry is busy."""
    with at_least(PATIENT_TIMEOUT):
        return set(list_tags(repository))


def _create_head_calls(
    repository: RepositoryName, names: Iterable[str]
) -> Mapping[str, Callable[[], str]]:
    client = registry()
    return {name: partial(client.head, repository, TagName(name)) for name in names}


def _live_tags_from_results(repository: RepositoryName, results: CallResults[str]) -> LiveTags:
    """Sort the results into readable, damaged, and unanswered tags.

    Args:
        repository: the repository that has the tags.
        results: the digest or the error of each tag, by tag name.

    Raises:
        RegistryError: the registry is unavailable or refuses the requests.
    """
    for problem in results.problems.values():
        if not isinstance(problem, RegistryNotFound | RegistryUnavailable):
            raise problem
    reasons = {
        name: str(problem) for name, problem in results.problems.items() if problem.is_outage
    }
    listed_names = _fetch_list(repository) if reasons else ()
    return LiveTags(
        digests=results.answers,
        damaged={
            name: "missing" if isinstance(problem, RegistryNotFound) else "fault"
            for name, problem in results.problems.items()
            if name not in reasons
        },
        unanswered={name: reason for name, reason in reasons.items() if name in listed_names},
    )


def unreadable_tags_that_stay(
    repository: RepositoryName, live: LiveTags, to_delete: Collection[str] = ()
) -> set[str]:
    """Return the unreadable tags that a removal keeps and that may therefore need any manifest.

    A missing tag (404) is left out if it was removed before, or is being removed: the registry
    still lists it, but it needs no manifest.

    Args:
        repository: the repository that has the tags.
        live: the tags as they were read from the registry.
        to_delete: tags that are being removed. Their manifests may already be deleted.
    """
    leftovers = leftovers_in(repository).union(to_delete)
    end_read()
    damaged_names = {
        name
        for name, damage in live.damaged.items()
        if damage != "missing" or name not in leftovers
    }
    # An unanswered tag counts even if it is being removed, because a client may have pushed it
    # again since the removal was planned.
    return damaged_names | live.unanswered.keys()
