"""One call to the registry for a removal: what is gone is no trouble, and silence is waited out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from ..catalog.live_tags import LiveTags, read_tags, unreadable_tags_that_stay
from ..distribution.call_timeout import at_least
from ..distribution.client import TagNames
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryFault,
    RegistryNotFound,
    RegistryUnavailable,
)
from ..enumerations import name_some
from ..manifests.store import PATIENT_TIMEOUT
from ..names import RepositoryName
from ..operations.errors import OperationFailed, Stalled, StepFailed
from ..operations.operation_lease import OperationLease
from ..registry_connection import registry
from .deletion_method import why_refused

T = TypeVar("T")

#: Number of tags that are asked for between two renewals of the lease.
BATCH = 200


def call_registry(
    lease: OperationLease[Any], call: Callable[[], T], *, repeat: bool = True
) -> T | None:
    """Make one call; return None if the thing is gone. A registry that is silent is waited for.

    Args:
        repeat: whether the call may be made again after a wait. One that is right only just
            after a look may not: then the whole step is taken again, with a new look.

    Raises:
        DeletionByTagUnsupported: this registry deletes by digest only.
        OperationFailed: the registry deletes nothing at all.
        RegistryUnavailable: it did not answer, and the call may not be repeated.
        StepFailed: any other trouble, which is of this object alone.
        LeaseLost, Canceled, Deferred: as OperationLease.wait_for_registry().
    """
    waited = False
    while True:
        try:
            with at_least(PATIENT_TIMEOUT if waited else 0):
                answer = call()
        except RegistryNotFound:
            answer = None
        except DeletionByTagUnsupported:
            raise
        except DeletionDisabled as error:
            raise OperationFailed(" ".join(why_refused(error))) from None
        except RegistryFault as error:
            raise StepFailed(f"{error}, again and again, while it answers otherwise") from None
        except RegistryUnavailable as error:
            if not repeat:
                raise
            lease.wait_for_registry(error)
            waited = True
            continue
        except RegistryError as error:
            message = f"{error}. Nothing else was changed; delete again to continue."
            raise StepFailed(message) from None
        if waited:  # answers to other calls don't say that a write that fails will succeed
            lease.record_answer()
        return answer


def listed_tags(lease: OperationLease[Any], repository: RepositoryName) -> TagNames:
    """Return the tags that the registry lists; none if it does not have the repository.

    Raises:
        StepFailed, LeaseLost, Canceled, Deferred: as call_registry().
    """
    return call_registry(lease, lambda: registry().tags(repository)) or TagNames()


def read_in_batches(
    lease: OperationLease[Any], repository: RepositoryName, names: Sequence[str]
) -> LiveTags:
    """Ask what tags stand for, and renew the lease in between.

    Tags for which the registry does not answer are waited for once: after that, the rest of the
    work goes on without them.

    Raises:
        StepFailed, LeaseLost, Canceled, Deferred: as call_registry().
    """
    found = LiveTags()
    for start in range(0, len(names), BATCH):
        lease.renew()
        some = names[start : start + BATCH]
        more = call_registry(lease, partial(read_tags, repository, some))
        found.add(more or LiveTags())
    if found.unanswered:
        _wait_for_answers(lease, repository, found)
    return found


def _wait_for_answers(
    lease: OperationLease[Any], repository: RepositoryName, found: LiveTags
) -> None:
    """Ask again for the tags for which the registry does not answer, as long as it is waited for.

    It answers other requests, so the work does not end if these never get an answer.
    """
    key = f"unanswered in {repository}"
    if key in lease.looks:
        return
    while found.unanswered:
        try:
            lease.wait_for_registry(found.trouble)
        except Stalled:
            lease.looks[key] = True
            break
        names = sorted(found.unanswered)
        found.unanswered = {}
        found.add(call_registry(lease, partial(read_tags, repository, names)) or found)
    lease.record_answer()


def require_readable(
    repository: RepositoryName, live: LiveTags, going: Collection[str] = ()
) -> None:
    """Raise StepFailed if a tag that stays can't be read, as unreadable_tags_that_stay() tells."""
    if live.unanswered:
        raise StepFailed(f"{live.trouble}, so all manifests are kept. Delete again to continue")
    if damaged := unreadable_tags_that_stay(repository, live, going):
        names = name_some(damaged)
        raise StepFailed(
            f"{names} can't be read, so all manifests are kept. Push it again, or remove it"
        )
