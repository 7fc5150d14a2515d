"""Limit on the registry calls of a page view, and a cache of registry objects that can't be read.

An object is a manifest or a blob. Only page views use the limit and the cache. Deletions, copies,
and moves always ask the registry.
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
#: How long pages don't request a missing or invalid object again, in seconds.
ERROR_LIFETIME = 120.0
#: How long pages don't request an object again after the registry answered 500, in seconds. This is
#: short, because the cause of a 500 can be temporary.
FAULT_LIFETIME = 30.0
#: Maximum number of unreadable objects in the cache.
MAX_CACHED_ERRORS = 10_000
#: Number of unreadable objects of one repository at which pages read no more objects of it.
MAX_ERRORS_PER_REPOSITORY = 100


class UnreadableObjects:
    """Thread-safe cache of errors for manifests and blobs that page views could not read."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], tuple[float, RegistryError]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def find(self, repository: str, digests: Iterable[str]) -> dict[str, RegistryError]:
        """Return the cached errors for some objects of a repository, by digest.

        Objects without a cached error are left out. But if the cache has at least
        MAX_ERRORS_PER_REPOSITORY errors for the repository, every object gets an error.
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
        """Cache errors for objects that are missing or invalid, or for which the registry fails.

        Errors of any other kind are ignored, because an outage says nothing about an object.

        Args:
            repository: the repository that has the objects.
            problems: errors by digest of the object.
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
        # Entries are in the order of insertion. Because there are two lifetimes, an expired entry
        # can remain until the older entries before it have expired, too.
        while self._entries and next(iter(self._entries.values()))[0] < now:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[str, str]) -> None:
        if self._entries.pop(key, None) is not None:
            self._counts[key[0]] -= 1
            if not self._counts[key[0]]:
                del self._counts[key[0]]


def init_app(app: Flask) -> None:
    """Create this process's cache of errors for unreadable registry objects."""
    app.extensions["unreadable_objects"] = UnreadableObjects()


def page_end() -> float:
    """Return the deadline for the registry calls of a page view, as a time.monotonic() value.

    Data that the registry has not delivered until the deadline is shown as a dash.
    """
    timeout: float = current_app.config["SETTINGS"].registry_timeout
    return time.monotonic() + timeout


def is_page_view() -> bool:
    """Return whether the current HTTP request only views a page (GET or HEAD).

    False outside of an HTTP request, such as in a worker.
    """
    return has_request_context() and request.method in {"GET", "HEAD"}


def count_against_budget(call: Callable[[], T], *, retries: bool = True) -> Callable[[], T]:
    """Wrap a registry call so that it counts against the limit of the current page view.

    Outside of a page view, the call is returned unchanged.

    Args:
        call: function that makes the call.
        retries: whether the call is repeated if the registry answers 500.

    Returns:
        A function that makes the call, or raises CallBudgetSpent if the limit was reached.
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
    """Return the cached errors for objects that a page should not request again, by digest.

    The result is empty outside of a page view.
    """
    if not is_page_view():
        return {}
    return _error_cache().find(str(repository), list(digests))


def remember_unreadable(repository: RepositoryName, problems: Mapping[str, RegistryError]) -> None:
    """Cache errors for registry objects that this page view could not read.

    Outside of a page view, nothing is cached.

    Args:
        repository: the repository that has the objects.
        problems: errors by digest of the object.
    """
    if is_page_view():
        _error_cache().add(str(repository), problems)


def _error_cache() -> UnreadableObjects:
    cache: UnreadableObjects = current_app.extensions["unreadable_objects"]
    return cache
