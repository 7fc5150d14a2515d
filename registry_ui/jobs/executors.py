"""Background threads of the worker, so that long-running work delays nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, current_app

from ..exception_log import log_exceptions

logger = logging.getLogger(__name__)

#: Kinds of work that can take minutes. At most one thread of a process runs each kind.
LONG_WORK = ("reconcile_all", "reconcile_wanted", "read_contents", "index_adopted", "old_paths")
#: Maximum number of removals, copies, and moves that a process runs at the same time, each in its
#: own thread.
MAX_BACKGROUND_THREADS = 4


def init_app(app: Flask) -> None:
    """Create the objects that limit concurrent long-running work in this process."""
    app.extensions["single_flights"] = {name: SingleFlight() for name in LONG_WORK}
    app.extensions["background_threads"] = BackgroundThreads(MAX_BACKGROUND_THREADS)
    app.extensions["collection_thread"] = BackgroundThreads(1)


def in_app(app: Flask, work: Callable[..., Any]) -> Callable[..., None]:
    """Wrap a function so that it runs within the application context."""

    def run(*args: Any) -> None:
        with app.app_context():
            work(*args)

    return run


def run_single_flight(kind: str, work: Callable[..., Any], *args: Any) -> None:
    """Run long-running work, or queue it for the thread that already runs work of the same kind.

    Args:
        kind: one of LONG_WORK.
        work: the function that does the work, called with ``args``.
    """
    current_app.extensions["single_flights"][kind].do(work, *args)


class SingleFlight:
    """Limits one kind of long-running work to one thread of the process.

    A call that arrives while such work runs is queued, and the running thread carries it out
    afterward. So no kind of work occupies more than one thread of the worker: registry events
    need a thread, too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: set[tuple[Any, ...]] = set()

    def do(self, work: Callable[..., Any], *args: Any) -> None:
        """Run ``work(*args)`` now, or queue the call if a different thread is running such work.

        The running thread carries out the queued calls before it returns; calls with equal
        arguments are merged into one. If calls raise exceptions, it still carries out the others,
        and then raises the first exception. The thread that queued a call gets no exception.
        """
        self._pending.add(args)
        errors: list[Exception] = []
        # Check again after releasing the lock: another thread can have queued a call just before
        # the release, when it could not acquire the lock itself.
        while self._pending and self._lock.acquire(blocking=False):
            try:
                errors += self._run_pending(work)
            finally:
                self._lock.release()
        if errors:
            raise errors[0]

    def _run_pending(self, work: Callable[..., Any]) -> list[Exception]:
        """Carry out the queued calls, and return the exceptions that they raised."""
        errors: list[Exception] = []
        while self._pending:
            try:
                work(*self._pending.pop())
            except Exception as error:  # noqa: BLE001 - raised when the queue is empty
                errors.append(error)
        return errors


class BackgroundThreads:
    """Runs work in separate threads: at most ``maximum`` at a time, and at most one for each key.

    The threads end with the process, so it must be possible to resume the work later.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._running_keys: set[Any] = set()

    def do(self, work: Callable[[Any], Any], key: Any) -> bool:
        """Start ``work(key)`` in a new thread.

        Returns:
            False if all threads are busy; True if the work was started or is already running.
        """
        with self._lock:
            if key in self._running_keys:
                return True
            if len(self._running_keys) >= self._maximum:
                return False
            self._running_keys.add(key)
        threading.Thread(target=self._run, args=(work, key), daemon=True, name="background").start()
        return True

    def _run(self, work: Callable[[Any], Any], key: Any) -> None:
        try:
            with log_exceptions(logger, "background work failed: %s", key):
                work(key)
        finally:
            with self._lock:
                self._running_keys.discard(key)
