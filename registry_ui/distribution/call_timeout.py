"""Longer timeouts for registry calls that are allowed to be slow, such as retries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_timeout: ContextVar[float] = ContextVar("call_timeout", default=0.0)


@contextmanager
def at_least(seconds: float) -> Iterator[None]:
    """Raise the timeout of this thread's registry calls to a minimum (context manager).

    Args:
        seconds: minimum timeout of each call. In nested contexts, the largest one applies.
    """
    reset_token = _timeout.set(call_timeout(seconds))
    try:
        yield
    finally:
        _timeout.reset(reset_token)


def call_timeout(default: float) -> float:
    """Return the timeout in seconds for a registry call of this thread.

    Args:
        default: the configured timeout; a larger minimum set by at_least() overrides it.
    """
    return max(default, _timeout.get())
