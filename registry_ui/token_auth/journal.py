"""Keeps what the token endpoint decided, without making anybody wait.

Decisions gather in memory and are written by a thread of their own, once a second;
equal ones within that second are one row. What does not fit is counted, not waited for.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from flask import Flask, current_app
from sqlalchemy import insert

from ..extensions import db, writing
from ..models import TokenDecision, utc_now

logger = logging.getLogger(__name__)

INTERVAL = 1.0
#: Different decisions that are kept within one interval.
ROOM = 2000
#: Timeout in seconds for the write that is under way when the process ends.
CLOSE_TIMEOUT = 5.0


class Noted(NamedTuple):
    """One decision, in the columns of its row."""

    username: str
    credential: str
    address: str
    client: str
    repository: str
    place: str
    asked: str
    granted: str
    rule: str


class Journal:
    """Gathers decisions and hands them on in batches. Safe to share between threads.

    Args:
        write: stores a batch: each decision with its first moment and how often it was.
        threaded: whether a thread writes; without one, only flush() does.
    """

    def __init__(
        self,
        write: Callable[[list[tuple[Noted, datetime, int]]], None],
        *,
        threaded: bool = True,
    ) -> None:
        self._write, self._threaded = write, threaded
        self._waiting: dict[Noted, list[Any]] = {}
        self._lock = threading.Lock()
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def note(self, decision: Noted) -> None:
        """Remember a decision until the next batch."""
        with self._lock:
            known = self._waiting.get(decision)
            if known is not None:
                known[1] += 1
            elif len(self._waiting) < ROOM:
                self._waiting[decision] = [utc_now(), 1]
            else:
                self._lost += 1
            if self._threaded and self._thread is None:
                # Not earlier: a process that forks would leave the thread behind.
                self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def flush(self) -> None:
        """Write what waits. A store that does not answer loses it: it was no promise."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            lost, self._lost = self._lost, 0
        if lost:
            logger.warning("%s decisions of the token endpoint were too many to keep", lost)
        if not waiting:
            return
        try:
            self._write([(noted, at, count) for noted, (at, count) in waiting.items()])
        except Exception:
            logger.exception("%s decisions of the token endpoint were not kept", len(waiting))

    def close(self) -> None:
        """Stop the thread and write the remaining decisions."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT)
        self.flush()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            self.flush()


def init_app(app: Flask) -> None:
    """Give the application its journal."""

    def write(batch: list[tuple[Noted, datetime, int]]) -> None:
        rows = [{**noted._asdict(), "at": at, "count": count} for noted, at, count in batch]
        # A context of its own: whoever flushes may be in the middle of something.
        with app.app_context():
            with writing() as session:
                session.execute(insert(TokenDecision), rows)
            db.session.remove()

    threaded = not app.config["SETTINGS"].testing
    app.extensions["journal"] = Journal(write, threaded=threaded)


def journal() -> Journal:
    """Return the application's journal."""
    found: Journal = current_app.extensions["journal"]
    return found
