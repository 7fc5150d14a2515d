"""The registry's clock, as the ``Date`` of its responses shows it, beside our own.

A bearer token says from when until when it is good. If the clocks differ by more than the
registry's leeway, it refuses every token, and its error does not say why.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime

logger = logging.getLogger(__name__)

#: Difference in seconds from which we warn: half of the leeway of 60 s that the registry
#: allows (PROTOCOLS 2.3). Clocks that drift are noticed before the first refusal.
WARN_FROM = 30
#: Maximum duration of a request in seconds. The Date of a slower one says too little.
MAX_DURATION = 5


class RegistryClock:
    """The difference between two clocks, by the last response that told it.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = 0.0
        self._warned = False

    def observe(self, date: str | None, sent_at: float, received_at: float) -> None:
        """Compare the ``Date`` of a response with our clock.

        Args:
            date: the header, without trust; nothing is learned from an unusable one.
            sent_at: our time before the request, in seconds since the epoch.
            received_at: our time after it.
        """
        duration = received_at - sent_at
        if date is None or not 0 <= duration <= MAX_DURATION:
            return
        try:
            theirs = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            return
        # The header is cut to whole seconds: half a second more on average.
        ahead = theirs + 0.5 - (sent_at + received_at) / 2
        with self._lock:
            self._ahead = ahead
            problem = self.problem
            changed = bool(problem) is not self._warned
            self._warned = bool(problem)
        if changed:
            logger.warning(problem or "The registry's clock agrees with ours again.")

    @property
    def problem(self) -> str | None:
        """How the clocks differ, and what that does; None if they agree well enough."""
        seconds = abs(self._ahead)
        if seconds < WARN_FROM:
            return None
        direction = "ahead of" if self._ahead > 0 else "behind"
        return (
            f"The registry's clock is {seconds:.0f} seconds {direction} this server's. "
            "If they differ by more than 60 seconds, the registry refuses tokens. "
            "Synchronize both clocks, for example with NTP."
        )
