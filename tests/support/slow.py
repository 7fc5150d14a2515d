"""A registry that is slow to answer some requests, and answers all others."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from urllib3.exceptions import ReadTimeoutError

from tests.support.live import LiveSite

NEVER = float("inf")


class SlowAnswers:
    """A transport on which some calls time out, unless their timeout is long enough.

    Attributes:
        calls: the timeouts of the calls that were slow.
        together: how many of those with a timeout that is long enough were made at a time.

    Args:
        is_slow: says of method and address whether a call is slow.
        needs: the timeout in seconds with which such a call succeeds.
    """

    def __init__(
        self,
        site: LiveSite,
        monkeypatch: Any,
        is_slow: Callable[[str, str], bool],
        *,
        needs: float = NEVER,
    ) -> None:
        pool = site.app.extensions["registry"]._transport._pool
        self.needs, self._is_slow = needs, is_slow
        self.calls: list[float] = []
        self.together = self._now = 0
        self._lock, self._request = Lock(), pool.request
        monkeypatch.setattr(pool, "request", self)

    def __call__(self, method: str, url: str, **more: Any) -> Any:
        if not self._is_slow(method, url):
            return self._request(method, url, **more)
        timeout = more["timeout"].read_timeout
        with self._lock:
            self.calls.append(timeout)
            if timeout < self.needs:
                raise ReadTimeoutError(None, url, "Read timed out.")  # type: ignore[arg-type]
            self._now += 1
            self.together = max(self.together, self._now)
        try:
            return self._request(method, url, **more)
        finally:
            with self._lock:
                self._now -= 1


def manifests(*paths: str) -> Callable[[str, str], bool]:
    """Return what says that a call is about one of these manifests, as ``repository:reference``."""
    ends = tuple(f"/v2/{path.replace(':', '/manifests/')}" for path in paths)
    return lambda _method, url: url.endswith(ends)
