"""Memory of recently stored events for HEAD requests, so that repeated ones are not stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from threading import Lock

from ..distribution.notifications import Notification
from ..manifests.tag_use import PRECISION

#: Maximum number of manifests remembered per process.
MAX_REMEMBERED = 10_000

_Key = tuple[str, str, str]


class RecentChecks:
    """The time of the last HEAD event that this process stored for each manifest.

    A polling client makes the registry send an event for every request. The stored time of a tag's
    last pull has a precision of one minute, so one event per minute is enough. Each process has its
    own memory.
    """

    def __init__(self) -> None:
        self._last_checks: OrderedDict[_Key, datetime] = OrderedDict()
        self._lock = Lock()

    def has(self, event: Notification) -> bool:
        """Return whether an event within a minute of this one was stored for the same manifest."""
        last_check = self._last_checks.get(_key_from_event(event))
        return (
            last_check is not None
            and event.occurred_at is not None
            and abs(event.occurred_at - last_check) < PRECISION
        )

    def remember(self, events: Iterable[Notification]) -> None:
        """Remember events for HEAD requests. Call it only after their transaction was committed."""
        with self._lock:
            for event in events:
                if event.occurred_at is not None:
                    self._last_checks[_key_from_event(event)] = event.occurred_at
                    self._last_checks.move_to_end(_key_from_event(event))
            while len(self._last_checks) > MAX_REMEMBERED:
                self._last_checks.popitem(last=False)


def _key_from_event(event: Notification) -> _Key:
    return event.repository, event.tag, event.digest
