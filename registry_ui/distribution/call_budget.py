"""A limit on the calls to the registry that one page view makes.

Whoever pushes decides how many manifests an index lists and how many of them can be read, and
anybody may open the page of a public image.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import CallBudgetSpent


class CallBudget:
    """Counts the calls of one page view, from all its threads."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def spend(self) -> None:
        """Count one call; raise CallBudgetSpent if there may be no more."""
        with self._lock:
            if self._left == 0:
                raise CallBudgetSpent("not read: the page asks the registry for too much")
            self._left -= 1


_budget: ContextVar[CallBudget | None] = ContextVar("call_budget", default=None)
_retries: ContextVar[bool] = ContextVar("call_retries", default=True)


@contextmanager
def spending(budget: CallBudget, *, retries: bool) -> Iterator[None]:
    """Count the calls that this thread makes in here.

    Args:
        retries: whether a 500 is asked again.
    """
    counted, repeated = _budget.set(budget), _retries.set(retries)
    try:
        yield
    finally:
        _budget.reset(counted)
        _retries.reset(repeated)


def count_call() -> None:
    """Count a call that is about to be made; raise CallBudgetSpent if there may be no more."""
    budget = _budget.get()
    if budget is not None:
        budget.spend()


def may_retry() -> bool:
    """Whether a 500 is asked again."""
    return _retries.get()
