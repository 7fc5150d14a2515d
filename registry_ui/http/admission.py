"""Reserves threads for the token endpoint, the gate and the registry's events.

A server has a fixed number of threads for each process. Without a limit, slow pages take all
of them, and every docker command waits. So pages and the API share a limited number; what is
beyond it waits briefly or is answered 503. A page that waits for a password hash gives its
place back, and takes one again after that: passwords have threads of their own. A client that is
refused for too many attempts waits for that answer, as long as few others do: guessing takes
processors otherwise, however quickly it is refused. This is plain WSGI and holds with every
server that has THREADS threads in each process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from werkzeug.wsgi import ClosingIterator

from ..accounts.password_checks import THREADS as PASSWORDS
from ..page_slots import KEY, PageSlot


@dataclass(frozen=True, slots=True)
class Limits:
    """How many threads of one process requests can take that are not reserved.

    Args:
        pages: requests for pages and the API that are answered at a time.
        waiting, patience: further ones that wait for their turn, and for how many seconds.
        held, hold: refused attempts whose answer is held back, and for how many seconds.
    """

    pages: int = 5
    waiting: int = 3
    patience: float = 1.0
    held: int = 12
    hold: float = 0.5


LIMITS = Limits()
#: Threads that none of these, and no password, can take.
RESERVED = 4
#: Threads of one process. Passwords count by themselves: they come by the token endpoint, too.
THREADS = LIMITS.pages + LIMITS.waiting + LIMITS.held + PASSWORDS + RESERVED
#: Seconds after which a client should ask again for a page.
RETRY_AFTER = 2

#: Clients, the registry, its proxy and probes wait here, and are answered quickly.
UNLIMITED_PREFIXES = ("/jwt/", "/auth/", "/gate/")
UNLIMITED_PATHS = frozenset({"/api/v4/registry_events", "/healthz", "/readyz"})

MESSAGE = "The site is busy. Try again in a few seconds."
PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Busy</title></head>
<body><main><h1>503</h1><p>{MESSAGE}</p></main></body>
</html>
"""


class Admission:
    """Passes requests on, those for pages only while there is room for them.

    Args:
        app: what answers.
        headers: what every answer carries.
    """

    def __init__(
        self, app: Any, headers: Iterable[tuple[str, str]], limits: Limits = LIMITS
    ) -> None:
        self._app, self._limits = app, limits
        self._headers = [*headers, ("Retry-After", str(RETRY_AFTER))]
        self._pages = threading.BoundedSemaphore(limits.pages)
        self._waiting = threading.BoundedSemaphore(limits.waiting)
        self._held = threading.BoundedSemaphore(limits.held)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        path, statuses = environ.get("PATH_INFO", ""), list[str]()

        def start(status: str, *rest: Any) -> Any:
            statuses.append(status)
            return start_response(status, *rest)

        answer: Iterable[bytes]
        if is_unlimited(path):
            answer = self._app(environ, start)
        elif self._admit():
            answer = self._answer_page(environ, start)
        else:
            return self._refuse(path, start_response)
        if statuses and statuses[-1].startswith("429"):
            answer = self._hold(answer)
        return answer

    def _answer_page(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        place = environ[KEY] = PageSlot(self._pages, self._limits.patience)
        try:
            answer = self._app(environ, start)
        except BaseException:
            place.give_back()
            raise
        # A thread is busy until the last byte is sent, and clients can be slow.
        return ClosingIterator(answer, place.give_back)

    def _hold(self, answer: Iterable[bytes]) -> Iterable[bytes]:
        """Return the same answer a little later, without taking the place of a page meanwhile."""
        if not self._held.acquire(blocking=False):
            return answer
        try:
            try:
                parts = list(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
            time.sleep(self._limits.hold)
        finally:
            self._held.release()
        return parts

    def _admit(self) -> bool:
        if self._pages.acquire(blocking=False):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._pages.acquire(timeout=self._limits.patience)
        finally:
            self._waiting.release()

    def _refuse(self, path: str, start_response: Any) -> Iterable[bytes]:
        if path.startswith("/api/"):
            kind = "application/json"
            error = {"code": "UNAVAILABLE", "message": MESSAGE, "hint": None}
            body = orjson.dumps({"error": error})
        else:
            kind, body = "text/html; charset=utf-8", PAGE.encode()
        length = ("Content-Length", str(len(body)))
        start_response("503 Service Unavailable", [("Content-Type", kind), length, *self._headers])
        return [body]


def is_unlimited(path: str) -> bool:
    """Whether a path is of those that always find a thread."""
    return path.startswith(UNLIMITED_PREFIXES) or path.rstrip("/") in UNLIMITED_PATHS
