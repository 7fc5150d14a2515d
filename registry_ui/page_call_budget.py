"""What a page view may ask the registry: a limited number of calls, and nothing in vain again.

Only pages use this. Whatever is deleted, copied or moved is asked for itself, however often.
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

#: Maximum number of calls to the registry for one page view.
MAX_CALLS = 200
#: How long an object that is missing or can't be read is not asked for again, in seconds.
KEPT = 120.0
#: The same for an object with which the registry failed: that may be over in a moment.
FAULT_KEPT = 30.0
#: Maximum number of objects that are remembered.
MAX_KEPT = 10_000
#: Maximum number of objects of one repository that are asked for in vain while they are kept.
MAX_IN_VAIN = 100


class UnreadableObjects:
    """Objects, by repository and digest, that a page could not read a moment ago."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[float, RegistryError]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def find(self, repository: str, digests: Iterable[str]) -> dict[str, RegistryError]:
        """Return what is known to be in the way of these objects."""
        with self._lock:
            self._forget_old()
            found = {
                digest: self._kept[repository, digest][1]
                for digest in digests
                if (repository, digest) in self._kept
            }
            if self._counts[repository] >= MAX_IN_VAIN:
                spent = CallBudgetSpent("not read: too much of this image can't be read")
                found = {digest: found.get(digest, spent) for digest in digests}
        return found

    def add(self, repository: str, problems: Mapping[str, RegistryError]) -> None:
        """Remember what was asked for in vain; a registry that does not answer is no reason."""
        now = time.monotonic()
        with self._lock:
            for digest, problem in problems.items():
                if not isinstance(
                    problem, RegistryNotFound | InvalidRegistryResponse | RegistryFault
                ):
                    continue
                seconds = FAULT_KEPT if isinstance(problem, RegistryFault) else KEPT
                self._drop((repository, digest))
                self._kept[repository, digest] = (now + seconds, problem)
                self._counts[repository] += 1
            while len(self._kept) > MAX_KEPT:
                self._drop(next(iter(self._kept)))

    def _forget_old(self) -> None:
        now = time.monotonic()
        # In the order in which they came: of two ages, so the older kind may stay a little.
        while self._kept and next(iter(self._kept.values()))[0] < now:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, str]) -> None:
        if self._kept.pop(key, None) is not None:
            self._counts[key[0]] -= 1
            if not self._counts[key[0]]:
                del self._counts[key[0]]


def init_app(app: Flask) -> None:
    """Make the memory of a process."""
    app.extensions["unreadable_objects"] = UnreadableObjects()


def page_end() -> float:
    """Return until when a page waits for facts; what is missing then gets a dash and a Retry."""
    patience: float = current_app.config["SETTINGS"].registry_timeout
    return time.monotonic() + patience


def is_page_view() -> bool:
    """Whether somebody looks at a page, rather than changes something."""
    return has_request_context() and request.method in {"GET", "HEAD"}


def counted(call: Callable[[], T], *, retries: bool = True) -> Callable[[], T]:
    """Return a call that counts for the page view for which it is made, if it is for one."""
    if not is_page_view():
        return call
    if "call_budget" not in g:
        g.call_budget = CallBudget(MAX_CALLS)
    budget: CallBudget = g.call_budget

    def counting() -> T:
        with spending(budget, retries=retries):
            return call()

    return counting


def unreadable(repository: RepositoryName, digests: Iterable[str]) -> dict[str, RegistryError]:
    """Return which of these objects a page need not ask for, and why."""
    if not is_page_view():
        return {}
    return _memory().find(str(repository), list(digests))


def remember_unreadable(repository: RepositoryName, problems: Mapping[str, RegistryError]) -> None:
    """Remember objects that a page asked for in vain."""
    if is_page_view():
        _memory().add(str(repository), problems)


def _memory() -> UnreadableObjects:
    found: UnreadableObjects = current_app.extensions["unreadable_objects"]
    return found
