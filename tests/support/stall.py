"""A registry that does not answer certain calls for a while."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from urllib3.exceptions import ReadTimeoutError

from tests.support.live import LiveSite


class Stall:
    """A transport on which calls time out, as long as there are some ``left``.

    Args:
        is_meant: says of method and address whether a call times out.
        calls: how many do.
    """

    def __init__(
        self, site: LiveSite, monkeypatch: Any, is_meant: Callable[[str, str], bool], *, calls: int
    ) -> None:
        pool = site.app.extensions["registry"]._transport._pool
        self.left, self._is_meant = calls, is_meant
        self._lock = Lock()
        self._request = pool.request
        monkeypatch.setattr(pool, "request", self)

    def __call__(self, method: str, url: str, **more: Any) -> Any:
        with self._lock:
            times_out = self.left > 0 and self._is_meant(method, url)
            self.left -= times_out
        if times_out:
            raise ReadTimeoutError(None, url, "Read timed out.")  # type: ignore[arg-type]
        return self._request(method, url, **more)
