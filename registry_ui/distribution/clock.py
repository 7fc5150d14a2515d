"""Clock skew between the registry and this server, measured from the ``Date`` header.

Bearer tokens are valid for a limited time. If the clocks differ by more than the registry's
leeway, the registry refuses every token, and its error message does not give the reason.
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
#: Maximum duration in seconds of a request from which clock skew is measured. With a slower
#: request, the measurement would be too inaccurate.
MAX_DURATION = 5


class RegistryClock:
    """The difference between the registry's clock and this server's, from the last usable response.

    It is safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._skew = 0.0
        self._warned = False

    def observe(self, date: str | None, sent_at: float, received_at: float) -> None:
        """Compare the ``Date`` header of a response with this server's clock.

        Args:
            date: value of the header, untrusted. A missing or malformed header is ignored.
            sent_at: this server's time before the request, in seconds since the epoch.
            received_at: this server's time after the response, in seconds since the epoch.
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
        """A warning about a clock difference and its effect; None if the difference is small."""
        seconds = abs(self._skew)
        if seconds < WARNING_THRESHOLD:
            return None
        direction = "ahead of" if self._skew > 0 else "behind"
        return (
            f"The registry's clock is {seconds:.0f} seconds {direction} this server's. "
            "If they differ by more than 60 seconds, the registry refuses tokens. "
            "Synchronize both clocks, for example with NTP."
        )
