"""Clock skew between the registry and this server, measured from the ``Date`` header.

Bearer tokens are valid for a limited time. If the clocks differ by more than the registry's
leeway, it refuses every token, and its error does not give the reason.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime

logger = logging.getLogger(__name__)

#: Clock difference in seconds that causes a warning. It is half of the registry's leeway of 60 s
#: (PROTOCOLS 2.3), so that drift is noticed before tokens are refused.
WARNING_THRESHOLD = 30
#: Maximum duration of a request in seconds. The measurement from a slower one is too inaccurate.
MAX_DURATION = 5


class RegistryClock:
    """The difference between the registry's clock and ours, from the last usable response.

    It is safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._skew = 0.0
        self._warned = False

    def observe(self, date: str | None, sent_at: float, received_at: float) -> None:
        """Compare the ``Date`` of a response with our clock.

        Args:
            date: value of the header, untrusted. A missing or malformed one is ignored.
            sent_at: our time before the request, in seconds since the epoch.
            received_at: our time after the response, in seconds since the epoch.
        """
        duration = received_at - sent_at
        if date is None or not 0 <= duration <= MAX_DURATION:
            return
        try:
            registry_time = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            return
        # The header is truncated to whole seconds, so the real time is 0.5 s later on average.
        skew = registry_time + 0.5 - (sent_at + received_at) / 2
        with self._lock:
            self._skew = skew
            problem = self.problem
            has_changed = bool(problem) is not self._warned
            self._warned = bool(problem)
        if has_changed:
            logger.warning(problem or "The registry's clock agrees with ours again.")

    @property
    def problem(self) -> str | None:
        """A warning about the clock difference and its effect, or None if it is small."""
        seconds = abs(self._skew)
        if seconds < WARNING_THRESHOLD:
            return None
        direction = "ahead of" if self._skew > 0 else "behind"
        return (
            f"The registry's clock is {seconds:.0f} seconds {direction} this server's. "
            "If they differ by more than 60 seconds, the registry refuses tokens. "
            "Synchronize both clocks, for example with NTP."
        )
