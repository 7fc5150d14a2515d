"""Batches of registry calls: in parallel or one at a time, with a common deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from ..db.session import end_read
from ..distribution.call_timeout import at_least
from ..distribution.errors import RegistryError, RegistryTimeout
from ..names import Digest, RepositoryName
from ..page_call_budget import count_against_budget, remember_unreadable, unreadable
from ..registry_connection import registry, threads

#: Timeout in seconds for a call that is retried on its own because it timed out before.
PATIENT_TIMEOUT = 10.0

T = TypeVar("T")


def blob_call(repository: RepositoryName, digest: str) -> Callable[[], bytes]:
    """Return a function that fetches a small blob and returns its content, for call_all()."""
    client = registry()
    return lambda: client.blob(repository, Digest(digest))


def call_once(
    repository: RepositoryName,
    calls: Mapping[str, Callable[[], Any]],
    end: float,
    problems: dict[str, RegistryError],
) -> Any:
    """Make calls like call_all(), but limit the number of calls that one page view makes.

    In a page view, calls count toward the limit of the page view, are not retried if the registry
    answers 500, and are skipped for digests that recently failed. Outside of a page view, this
    function does the same as call_all().

    Args:
        repository: the repository that the calls read.
        calls: functions by digest or tag. Failures are cached for digests only.
        end: deadline, as a value of time.monotonic().
        problems: receives the errors of the registry, by digest or tag; they are not raised.

    Returns:
        The results by digest or tag.
    """
    recent_problems = unreadable(repository, calls)
    problems.update(recent_problems)
    counted_calls = {
        name: count_against_budget(call, retries=False)
        for name, call in calls.items()
        if name not in recent_problems
    }
    new_problems: dict[str, RegistryError] = {}
    answers = call_all(counted_calls, end, new_problems)
    remember_unreadable(
        repository, {name: problem for name, problem in new_problems.items() if ":" in name}
    )
    problems.update(new_problems)
    return answers


def call_all(
    calls: Mapping[str, Callable[[], Any]], end: float, problems: dict[str, RegistryError]
) -> Any:
    """Make registry calls in parallel, eight at a time, until the deadline.

    Calls that are not finished at the deadline get a RegistryTimeout.

    Args:
        calls: functions by any name that the caller chooses, such as a digest.
        end: deadline, as a value of time.monotonic().
        problems: receives the errors of the registry by name; they are not raised.

    Returns:
        The results by name.
    """
    end_read()
    names_by_future: dict[Future[Any], str] = {
        threads().submit(call): n for n, call in calls.items()
    }
    wait(names_by_future, timeout=max(0.0, end - time.monotonic()))
    answers = {}
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
    return answers


def call_in_turn(
    calls: Mapping[str, Callable[[], T]], end: float, problems: dict[str, RegistryError]
) -> dict[str, T]:
    """Retry registry calls that timed out, one at a time, until the deadline.

    The timeout of each call is its share of the remaining time, up to PATIENT_TIMEOUT, so that a
    call that hangs leaves time for the others.

    Args:
        calls: functions by any name that the caller chooses, such as a digest.
        end: deadline, as a value of time.monotonic().
        problems: receives the errors of the registry by name; they are not raised.

    Returns:
        The results by name.
    """
    end_read()
    answers: dict[str, T] = {}
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
    return answers
