"""Limits the registry calls of a page view, and caches which objects can't be read.

Only pages use this. Deletions, copies, and moves always ask the registry.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from flask import Flask, current_app, g, has_request_context, request

from .distribution.call_budget import CallBudget, spending
from .distribution.errors import (
    CallBudgetSpent,
    InvalidRegistryResponse,
    RegistryError,
    RegistryFault,
    RegistryNotFound,
)
from .names import RepositoryName

T = TypeVar("T")

#: Maximum number of registry calls for one page view.
MAX_CALLS = 200
#: How long a missing or invalid object is not requested again, in seconds.
ERROR_LIFETIME = 120.0
#: How long an object is not requested again after a registry fault (500), in seconds. A fault can
#: be over in a moment.
FAULT_LIFETIME = 30.0
#: Maximum number of objects in the cache.
MAX_CACHED_ERRORS = 10_000
#: Maximum number of cached objects of one repository; beyond it, pages read none of its objects.
MAX_ERRORS_PER_REPOSITORY = 100


class UnreadableObjects:
    """Cache of errors for objects, by repository and digest, that a page could not read."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], tuple[float, RegistryError]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def find(self, repository: str, digests: Iterable[str]) -> dict[str, RegistryError]:
        """Return the known errors of these objects, by digest.

        If too many objects of the repository can't be read, every object gets an error.
        """
        with self._lock:
            self._forget_old()
            errors = {
                digest: self._entries[repository, digest][1]
                for digest in digests
                if (repository, digest) in self._entries
            }
            if self._counts[repository] >= MAX_ERRORS_PER_REPOSITORY:
                budget_error = CallBudgetSpent("not read: too much of this image can't be read")
                errors = {digest: errors.get(digest, budget_error) for digest in digests}
        return errors

    def add(self, repository: str, problems: Mapping[str, RegistryError]) -> None:
        """Cache the errors of objects that are missing, invalid, or make the registry fail.

        Other errors are ignored: an outage says nothing about an object.
        """
        now = time.monotonic()
        with self._lock:
            for digest, problem in problems.items():
                if not isinstance(
                    problem, RegistryNotFound | InvalidRegistryResponse | RegistryFault
                ):
                    continue
                seconds = FAULT_LIFETIME if isinstance(problem, RegistryFault) else ERROR_LIFETIME
                self._drop((repository, digest))
                self._entries[repository, digest] = (now + seconds, problem)
                self._counts[repository] += 1
            while len(self._entries) > MAX_CACHED_ERRORS:
                self._drop(next(iter(self._entries)))

    def _forget_old(self) -> None:
        now = time.monotonic()
        # Entries are in the order of insertion and have two lifetimes, so one can be kept a little
        # longer behind another.
        while self._entries and next(iter(self._entries.values()))[0] < now:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[str, str]) -> None:
        if self._entries.pop(key, None) is not None:
            self._counts[key[0]] -= 1
            if not self._counts[key[0]]:
                del self._counts[key[0]]


def init_app(app: Flask) -> None:
    """Create the cache of this process."""
    app.extensions["unreadable_objects"] = UnreadableObjects()


def page_end() -> float:
    """Return the deadline of a page view, as a time.monotonic() value.

    Facts that are missing by then are shown as a dash, with a Retry link.
    """
    timeout: float = current_app.config["SETTINGS"].registry_timeout
    return time.monotonic() + timeout


def is_page_view() -> bool:
    """Return whether this is a request to view a page (GET or HEAD), not to change something."""
    return has_request_context() and request.method in {"GET", "HEAD"}


def count_against_budget(call: Callable[[], T], *, retries: bool = True) -> Callable[[], T]:
    """Wrap a registry call so that it counts against the budget of the current page view.

    Outside of a page view, the call is returned unchanged.

    Args:
        retries: whether the call is repeated after a 500.
    """
    if not is_page_view():
        return call
    if "call_budget" not in g:
        g.call_budget = CallBudget(MAX_CALLS)
    budget: CallBudget = g.call_budget

    def call_within_budget() -> T:
        with spending(budget, retries=retries):
            return call()

    return call_within_budget


def unreadable(repository: RepositoryName, digests: Iterable[str]) -> dict[str, RegistryError]:
    """Return the errors of those objects that a page need not request again, by digest."""
    if not is_page_view():
        return {}
    return _error_cache().find(str(repository), list(digests))


def remember_unreadable(repository: RepositoryName, problems: Mapping[str, RegistryError]) -> None:
    """Cache the errors of objects that a page could not read."""
    if is_page_view():
        _error_cache().add(str(repository), problems)


def _error_cache() -> UnreadableObjects:
    cache: UnreadableObjects = current_app.extensions["unreadable_objects"]
    return cache
