"""WSGI middleware that reserves threads for the token endpoint, the gate and registry events.

A server has a fixed number of threads in each process. Without a limit, slow pages could occupy
all of them, and every docker command would wait. So pages and the API share a limited number of
slots. Further requests wait briefly for a slot, and get a 503 response if none becomes free.
While a page waits for a password hash, it gives up its slot, because password checks have
threads of their own.

A response that refuses a client after too many attempts (429) is delayed, unless many are being
delayed already. Otherwise guessing would use up the processors, even if every guess is refused.

This is plain WSGI. It works with every server that runs THREADS threads in each process.
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
    """Limits on the threads of one process that pages, the API and refused attempts can take.

    Args:
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
#: Number of threads that neither these requests nor password checks can take.
RESERVED = 4
#: Number of threads in one process. Password checks count separately, because the token
#: endpoint needs them, too.
THREADS = LIMITS.pages + LIMITS.waiting + LIMITS.max_delayed + PASSWORD_THREADS + RESERVED
#: Value in seconds of the Retry-After header in a 503 response.
RETRY_AFTER = 2

#: Paths that need no slot: docker clients, the registry, its proxy and health probes wait for
#: these responses, which are quick.
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
    """WSGI middleware that passes page and API requests on only while a slot is free.

    Args:
        app: the WSGI application to protect.
        headers: the headers of a 503 response, besides its type, length and Retry-After.
        limits: the number of slots, and of requests that can wait.
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
        """Answer one WSGI request, or refuse it if no slot becomes free."""
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
        """Delay a response, unless too many are delayed already; its page slot is freed first."""
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
    """Return whether requests for a path are answered without a slot."""
    return path.startswith(UNLIMITED_PREFIXES) or path.rstrip("/") in UNLIMITED_PATHS
