"""Threads of the worker for work that takes long, so that it holds back nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, current_app

logger = logging.getLogger(__name__)

#: Kinds of work that may take minutes.
LONG_WORK = ("reconcile_all", "reconcile_wanted", "read_contents", "index_adopted", "old_paths")
#: Removals, copies and moves that a process carries out at a time, each in a thread of its own.
MAX_BACKGROUND_THREADS = 4


def init_app(app: Flask) -> None:
    """Make what limits the work of a process."""
    app.extensions["one_at_a_time"] = {name: SingleFlight() for name in LONG_WORK}
    app.extensions["aside"] = BackgroundThreads(MAX_BACKGROUND_THREADS)
    app.extensions["collecting"] = BackgroundThreads(1)


def in_app(app: Flask, work: Callable[..., Any]) -> Callable[..., None]:
    """Return the work as a function that runs it within the application's context."""

    def run(*args: Any) -> None:
        with app.app_context():
            work(*args)

    return run


def run_single_flight(kind: str, work: Callable[..., Any], *args: Any) -> None:
    """Do work of a kind unless a thread of this process is at it, which then does it too."""
    current_app.extensions["one_at_a_time"][kind].do(work, *args)


class SingleFlight:
    """Lets one thread of a process do a kind of work; who comes meanwhile leaves it the rest.

    Long work must not take all the threads: events wait for one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: set[tuple[Any, ...]] = set()

    def do(self, work: Callable[..., Any], *args: Any) -> None:
        """Do the work here and now, or soon in the thread that is at it."""
        self._wanted.add(args)
        # Looked at again after letting go: somebody may have come in between.
        while self._wanted and self._lock.acquire(blocking=False):
            try:
                while self._wanted:
                    work(*self._wanted.pop())
            finally:
                self._lock.release()


class BackgroundThreads:
    """Does work in threads of its own, a few at a time; work that is under way is left alone.

    The threads end with the process: what they do can be taken up again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._busy: set[Any] = set()

    def do(self, work: Callable[[Any], Any], key: Any) -> bool:
        """Begin the work; return False where there is no room for it now."""
        with self._lock:
            if key in self._busy:
                return True
            if len(self._busy) >= self._most:
                return False
            self._busy.add(key)
        threading.Thread(target=self._run, args=(work, key), daemon=True, name="aside").start()
        return True

    def _run(self, work: Callable[[Any], Any], key: Any) -> None:
        try:
            work(key)
        except Exception:
            logger.exception("work aside broke off: %s", key)
        finally:
            with self._lock:
                self._busy.discard(key)
