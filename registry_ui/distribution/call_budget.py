"""Limit on the number of registry calls that one page view makes.

The limit is needed because anyone can open the page of a public image, and the user who pushed
an OCI index decides how many manifests the index lists, and how many of them are readable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import CallBudgetSpent


class CallBudget:
    """A thread-safe counter of the registry calls that one page view can still make."""

    def __init__(self, limit: int) -> None:
        self._remaining = limit
        self._lock = threading.Lock()

    def spend(self) -> None:
        """Count one registry call; raise CallBudgetSpent if the limit was already reached."""
        with self._lock:
            if self._remaining == 0:
                raise CallBudgetSpent("not read: the page asks the registry for too much")
            self._remaining -= 1


_budget: ContextVar[CallBudget | None] = ContextVar("call_budget", default=None)
_retries: ContextVar[bool] = ContextVar("call_retries", default=True)


@contextmanager
def spending(budget: CallBudget, *, retries: bool) -> Iterator[None]:
    """Charge the registry calls of this thread to a budget (context manager).

    Args:
        budget: the budget of the page view.
        retries: whether a registry call that returns status 500 is retried.
    """
    budget_token, retries_token = _budget.set(budget), _retries.set(retries)
    try:
        yield
    finally:
        _budget.reset(budget_token)
        _retries.reset(retries_token)


def count_call() -> None:
    """Charge one registry call to the budget of this thread, if the thread has a budget.

    Raises:
        CallBudgetSpent: the limit was already reached. The caller must not make the call.
    """
    budget = _budget.get()
    if budget is not None:
        budget.spend()


def may_retry() -> bool:
    """Return whether this thread is allowed to retry a registry call that returned status 500."""
    return _retries.get()
