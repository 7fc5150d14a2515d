"""Batches of registry calls: in parallel or one at a time, with a common deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..db.session import end_read
from ..distribution.call_timeout import at_least
from ..distribution.errors import RegistryError, RegistryTimeout
from ..names import Digest, RepositoryName
from ..page_call_budget import count_against_budget, remember_unreadable, unreadable
from ..registry_connection import registry, threads

#: Timeout in seconds for a call that is retried on its own because it timed out before.
PATIENT_TIMEOUT = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallResults(Generic[T]):
    """The results of a batch of registry calls, by the name that the caller gave to each call.

    Every call is in exactly one of the dictionaries, unless keep_problems() left out its error.

    Attributes:
        answers: return values of the calls that succeeded.
        problems: errors of the registry for the other calls.
    """

    answers: dict[str, T]
    problems: dict[str, RegistryError]

    def keep_problems(self, names: Collection[str]) -> CallResults[T]:
        """Return these results without the errors of calls whose names are not in ``names``."""
        problems = {name: problem for name, problem in self.problems.items() if name in names}
        return CallResults(self.answers, problems)

    def merge_retries(self, retries: CallResults[T]) -> CallResults[T]:
        """Return these results with the results of retried calls in place of the earlier ones."""
        other_problems = {
            name: problem for name, problem in self.problems.items() if name not in retries.answers
        }
        return CallResults(self.answers | retries.answers, other_problems | retries.problems)


def blob_call(repository: RepositoryName, digest: str) -> Callable[[], bytes]:
    """Return a function that fetches a small blob and returns its content, for call_all()."""
    client = registry()
    return lambda: client.blob(repository, Digest(digest))


def call_once(
    repository: RepositoryName, calls: Mapping[str, Callable[[], T]], end: float
) -> CallResults[T]:
    """Make calls like call_all(), but limit the number of calls that one page view makes.

    In a page view, calls count toward the limit of the page view, are not retried if the registry
    answers 500, and are skipped for digests that recently failed. Outside of a page view, this
    function does the same as call_all().

    Args:
        repository: the repository that the calls read.
        calls: functions by digest or tag. Failures are cached for digests only.
        end: deadline, as a value of time.monotonic().

    Returns:
        The results by digest or tag. Digests that recently failed have their earlier error.
    """
    recent_problems = unreadable(repository, calls)
    results = call_all(
        {
            name: count_against_budget(call, retries=False)
            for name, call in calls.items()
            if name not in recent_problems
        },
        end,
    )
    remember_unreadable(
        repository, {name: problem for name, problem in results.problems.items() if ":" in name}
    )
    return CallResults(results.answers, recent_problems | results.problems)


def call_all(calls: Mapping[str, Callable[[], T]], end: float) -> CallResults[T]:
    """Make registry calls in parallel, eight at a time, until the deadline.

    Calls that are not finished at the deadline get a RegistryTimeout.

    Args:
        calls: functions by any name that the caller chooses, such as a digest.
        end: deadline, as a value of time.monotonic().

    Returns:
        The results by name. Errors of the registry are not raised; any other exception is.
    """
    end_read()
    names_by_future: dict[Future[T], str] = {
        threads().submit(call): name for name, call in calls.items()
    }
    wait(names_by_future, timeout=max(0.0, end - time.monotonic()))
    answers: dict[str, T] = {}
    problems: dict[str, RegistryError] = {}
    for future, name in names_by_future.items():
        if not future.done():
            future.cancel()
            problems[name] = RegistryTimeout("the registry is too slow")
            continue
        error = future.exception()
        if error is None:
            answers[name] = future.result()
        elif isinstance(error, RegistryError):
            problems[name] = error
        else:
            raise error
    return CallResults(answers, problems)


def call_in_turn(calls: Mapping[str, Callable[[], T]], end: float) -> CallResults[T]:
    """Retry registry calls that timed out, one at a time, until the deadline.

    The timeout of each call is its share of the remaining time, up to PATIENT_TIMEOUT, so that a
    call that hangs leaves time for the others.

    Args:
        calls: functions by any name that the caller chooses, such as a digest.
        end: deadline, as a value of time.monotonic().

    Returns:
        The results by name. Errors of the registry are not raised; any other exception is.
    """
    end_read()
    answers: dict[str, T] = {}
    problems: dict[str, RegistryError] = {}
    for index, (name, call) in enumerate(calls.items()):
        remaining_time = end - time.monotonic()
        if remaining_time <= 0:
            problems[name] = RegistryTimeout("the registry is too slow")
            continue
        try:
            with at_least(min(PATIENT_TIMEOUT, remaining_time / (len(calls) - index))):
                answers[name] = call()
        except RegistryError as error:
            problems[name] = error
    return CallResults(answers, problems)
