"""HEAD requests for manifests that were stored a moment ago: another one says nothing new."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from threading import Lock

from ..distribution.notifications import Notification
from ..manifests.tag_use import PRECISION

#: Maximum number of manifests that are remembered.
MAX_REMEMBERED = 10_000

_Key = tuple[str, str, str]


class RecentChecks:
    """Remembers when this process last stored a HEAD of each manifest.

    A client that polls makes the registry send an event each time. Last pulls are known to
    the minute, so one of them in a minute is enough. Other processes remember their own.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[_Key, datetime] = OrderedDict()
        self._lock = Lock()

    def has(self, event: Notification) -> bool:
        """Whether a check of the same manifest within the same minute was stored."""
        last = self._last.get(_key(event))
        return (
            last is not None
            and event.occurred_at is not None
            and abs(event.occurred_at - last) < PRECISION
        )

    def remember(self, events: Iterable[Notification]) -> None:
        """Remember events that are stored for good."""
        with self._lock:
            for event in events:
                if event.occurred_at is not None:
                    self._last[_key(event)] = event.occurred_at
                    self._last.move_to_end(_key(event))
            while len(self._last) > MAX_REMEMBERED:
                self._last.popitem(last=False)


def _key(event: Notification) -> _Key:
    return event.repository, event.tag, event.digest
