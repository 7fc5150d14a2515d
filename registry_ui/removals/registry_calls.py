"""Registry calls of a removal.

A missing object is not an error, and a call waits while the registry is down. During a wait, the
worker renews its lease: its exclusive, temporary hold on the removal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from ..batches import split_into_batches
from ..catalog.live_tags import LiveTags, read_tags, unreadable_tags_that_stay
from ..distribution.call_timeout import at_least
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryFault,
    RegistryNotFound,
    RegistryUnavailable,
)
from ..distribution.tag_list import TagNames
from ..enumerations import name_some
from ..manifests.batch_calls import PATIENT_TIMEOUT
from ..names import RepositoryName
from ..operations.errors import OperationFailed, Stalled, StepFailed
from ..registry_connection import registry
from .deletion_method import explain_refusal
from .lease import RemovalLease

T = TypeVar("T")

CALL_FAILED = "{}. Nothing else was changed; delete again to continue."

#: Maximum number of tags that are read between two renewals of the lease.
BATCH_SIZE = 200


def call_registry(lease: RemovalLease, call: Callable[[], T], *, repeat: bool = True) -> T | None:
    """Return the answer to a registry call, or None if the object is gone.

    Args:
        repeat: whether to repeat the call while the registry is down; False for a call that is safe
            only right after a check.

    Raises:
        DeletionByTagUnsupported: this registry deletes by digest only.
        OperationFailed: deletion is disabled in the registry.
        RegistryUnavailable: the registry did not answer, and ``repeat`` is False.
        StepFailed: any other error; it concerns only this object.
        LeaseLost, Canceled, Deferred: the work must stop during a wait; see operations/errors.py.
    """
    has_waited = False
    while True:
        try:
            with at_least(PATIENT_TIMEOUT if has_waited else 0):
                answer = call()
        except RegistryNotFound:
            answer = None
        except DeletionByTagUnsupported:
            raise
        except DeletionDisabled as error:
            raise OperationFailed(" ".join(explain_refusal(error))) from None
        except RegistryFault as error:
            raise StepFailed(f"{error}, again and again, while it answers otherwise") from None
        except RegistryUnavailable as error:
            if not repeat:
                raise
            lease.wait_for_registry(error)
            has_waited = True
            continue
        except RegistryError as error:
            raise StepFailed(CALL_FAILED.format(error)) from None
        if has_waited:  # Only a repeated call shows that the outage is over.
            lease.record_answer()
        return answer


def listed_tags(lease: RemovalLease, repository: RepositoryName) -> TagNames:
    """Return the tags that the registry lists, or none if it does not have the repository.

    Raises:
        StepFailed: the registry can't list the tags.
        LeaseLost: another worker holds the removal now.
        Canceled: a user canceled the removal.
        Deferred: the registry did not answer for too long, or a write freeze is in effect.
    """
    return call_registry(lease, lambda: registry().tags(repository)) or TagNames()


def read_in_batches(
    lease: RemovalLease, repository: RepositoryName, names: Sequence[str]
) -> LiveTags:
    """Read the digests of tags in batches, and renew the lease between them.

    Tags for which the registry gives no answer are read again until there is an answer or the wait
    times out; after one timeout, the removal does not wait for the same repository again. Tags that
    still have no answer are in ``unanswered`` of the result.

    Raises:
        StepFailed: the registry returned an error for the whole batch.
        LeaseLost: another worker holds the removal now.
        Canceled: a user canceled the removal.
        Deferred: the registry did not answer for too long, or a write freeze is in effect.
    """
    live = LiveTags()
    for batch in split_into_batches(names, BATCH_SIZE):
        lease.renew()
        answers = call_registry(lease, partial(read_tags, repository, batch))
        live.add(answers or LiveTags())
    if live.unanswered:
        _wait_for_answers(lease, repository, live)
    return live


def _wait_for_answers(lease: RemovalLease, repository: RepositoryName, live: LiveTags) -> None:
    """Read unanswered tags again until the registry answers or the wait times out.

    If the wait times out, the removal continues, because the registry answers other requests. The
    timeout is remembered, so that the removal does not wait for this repository again.
    """
    waited_for = lease.cached_checks.unanswered
    if str(repository) in waited_for:
        return
    while live.unanswered:
        try:
            lease.wait_for_registry(live.trouble)
        except Stalled:
            waited_for.add(str(repository))
            break
        names = sorted(live.unanswered)
        live.unanswered = {}
        live.add(call_registry(lease, partial(read_tags, repository, names)) or live)
    lease.record_answer()


def require_readable(
    repository: RepositoryName, live: LiveTags, to_delete: Collection[str] = ()
) -> None:
    """Raise StepFailed if a tag that stays can't be read, because such a tag may need any manifest.

    Args:
        live: tags that were read.
        to_delete: names of the tags to remove.
    """
    if live.unanswered:
        raise StepFailed(f"{live.trouble}, so all manifests are kept. Delete again to continue")
    if damaged_tags := unreadable_tags_that_stay(repository, live, to_delete):
        names = name_some(damaged_tags)
        raise StepFailed(
            f"{names} can't be read, so all manifests are kept. Push it again, or remove it"
        )
