"""WSGI middleware that reserves threads for the token endpoint, the gate, and registry events.

The gate authorizes pushes and deletions for the registry's reverse proxy. A server has a fixed
number of threads in each process. Without a limit, slow pages could occupy all of them, and every
docker command would wait. So pages and the API share a limited number of slots. Further
requests wait briefly for a slot, and get a 503 response if none becomes free. While a request waits
for a password hash, it gives up its slot, because password checks have their own threads.

A response that refuses a client after too many attempts (429) is delayed, unless many are being
delayed already. Otherwise password guessing would occupy the CPUs, even if every guess is refused.

The middleware works with every WSGI server that runs THREADS threads in each process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from werkzeug.wsgi import ClosingIterator

from ..accounts.password_checks import MAX_THREADS as PASSWORD_THREADS
from ..page_slots import KEY, PageSlot


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the threads of one process that pages, the API, and 429 responses can occupy.

    Attributes:
        pages: maximum number of page and API requests that are answered at the same time.
        waiting: maximum number of further requests that wait for a slot.
        timeout: maximum time in seconds that a request waits for a slot.
        max_delayed: maximum number of 429 responses that are delayed at the same time.
        delay: delay of a 429 response in seconds.
    """

    pages: int = 5
    waiting: int = 3
    timeout: float = 1.0
    max_delayed: int = 12
    delay: float = 0.5


LIMITS = Limits()
#: Number of threads reserved for requests that need no slot, such as those of docker clients.
RESERVED = 4
#: Number of threads in one server process. Password checks have their own share, because the token
#: endpoint needs them, too.
THREADS = LIMITS.pages + LIMITS.waiting + LIMITS.max_delayed + PASSWORD_THREADS + RESERVED
#: Value in seconds of the Retry-After header in a 503 response.
RETRY_AFTER = 2

#: Paths that need no slot, because docker clients, the registry, its proxy, and health probes wait
#: for these responses, which are quick.
UNLIMITED_PREFIXES = ("/jwt/", "/auth/", "/gate/")
UNLIMITED_PATHS = frozenset({"/api/v4/registry_events", "/healthz", "/readyz"})

BUSY_MESSAGE = "The site is busy. Try again in a few seconds."
BUSY_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Busy</title></head>
<body><main><h1>503</h1><p>{BUSY_MESSAGE}</p></main></body>
</html>
"""


class Admission:
    """WSGI middleware that limits the number of concurrent page and API requests.

    Args:
        app: the WSGI application to protect.
        headers: further headers of a 503 response, such as the security headers.
        limits: the limits that apply to each server process.
    """

    def __init__(
        self, app: Any, headers: Iterable[tuple[str, str]], limits: Limits = LIMITS
    ) -> None:
        self._app, self._limits = app, limits
        self._headers = [*headers, ("Retry-After", str(RETRY_AFTER))]
        self._pages = threading.BoundedSemaphore(limits.pages)
        self._waiting = threading.BoundedSemaphore(limits.waiting)
        self._delayed = threading.BoundedSemaphore(limits.max_delayed)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one WSGI request; respond with 503 if no slot becomes free in time."""
        path, statuses = environ.get("PATH_INFO", ""), list[str]()

        def start(status: str, *arguments: Any) -> Any:
            statuses.append(status)
            return start_response(status, *arguments)

        answer: Iterable[bytes]
        if is_unlimited(path):
            answer = self._app(environ, start)
        elif self._admit():
            answer = self._answer_page(environ, start)
        else:
            return self._refuse(path, start_response)
        if statuses and statuses[-1].startswith("429"):
            answer = self._delay(answer)
        return answer

    def _answer_page(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        slot = environ[KEY] = PageSlot(self._pages, self._limits.timeout)
        try:
            answer = self._app(environ, start)
        except BaseException:
            slot.release()
            raise
        # Keep the slot until the response is closed, because a slow client occupies the thread
        # until the last byte is sent.
        return ClosingIterator(answer, slot.release)

    def _delay(self, answer: Iterable[bytes]) -> Iterable[bytes]:
        """Delay a 429 response after freeing its slot, unless too many are delayed already."""
        if not self._delayed.acquire(blocking=False):
            return answer
        try:
            try:
                chunks = list(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
            time.sleep(self._limits.delay)
        finally:
            self._delayed.release()
        return chunks

    def _admit(self) -> bool:
        if self._pages.acquire(blocking=False):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._pages.acquire(timeout=self._limits.timeout)
        finally:
            self._waiting.release()

    def _refuse(self, path: str, start_response: Any) -> Iterable[bytes]:
        if path.startswith("/api/"):
            kind = "application/json"
            error = {"code": "UNAVAILABLE", "message": BUSY_MESSAGE, "hint": None}
            body = orjson.dumps({"error": error})
        else:
            kind, body = "text/html; charset=utf-8", BUSY_PAGE.encode()
        length = ("Content-Length", str(len(body)))
        start_response("503 Service Unavailable", [("Content-Type", kind), length, *self._headers])
        return [body]


def is_unlimited(path: str) -> bool:
    """Return whether requests for a path are answered even if no slot is free."""
    return path.startswith(UNLIMITED_PREFIXES) or path.rstrip("/") in UNLIMITED_PATHS
