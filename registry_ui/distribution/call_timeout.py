"""A longer timeout for calls that are made again because the registry was slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_timeout: ContextVar[float] = ContextVar("call_timeout", default=0.0)


@contextmanager
def at_least(seconds: float) -> Iterator[None]:
    """Give each call that this thread makes in here at least this timeout."""
    before = _timeout.set(call_timeout(seconds))
    try:
        yield
    finally:
        _timeout.reset(before)


def call_timeout(usual: float) -> float:
    """Return the timeout in seconds for a call, given that of the settings."""
    return max(usual, _timeout.get())
