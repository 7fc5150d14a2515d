"""Verifies passwords in a process of low priority, so that nothing else has to wait for it.

A hash takes a tenth of a second on several cores, and 64 MiB. In the process that serves
requests it takes the processors from them; at a low priority there, it would at times hold
Python's lock while it waits for a processor, and every other thread with it.
"""

from __future__ import annotations

import atexit
import bisect
import itertools
import json
import logging
import os
import selectors
import subprocess
import sys
import threading
from pathlib import Path

from .secrets import hash_for_unknown_users
from .throttle import TooManyAttempts

logger = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("hashing_process.py")
#: Timeout in seconds for a password, its turn included. On a busy machine it takes long.
PATIENCE = 20.0
RETRY_AFTER = 2


class PriorityLock:
    """A lock that goes to waiting threads with priority first, and then by order of arrival."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[bool, int]] = []
        self._is_held = False

    def acquire(self, timeout: float, *, priority: bool = False) -> bool:
        """Wait for the lock; return False if it was not free within the timeout."""
        with self._changed:
            ticket = (not priority, next(self._numbers))
            bisect.insort(self._waiting, ticket)
            try:
                acquired = self._changed.wait_for(
                    lambda: not self._is_held and self._waiting[0] == ticket, timeout
                )
                self._is_held = self._is_held or acquired
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()  # the next in line might have waited for this ticket
            return acquired

    def release(self) -> None:
        """Hand the lock on."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()


class HashingProcess:
    """Starts the process when it is needed first, and again if it is gone."""

    def __init__(self) -> None:
        self._turn = PriorityLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def verify(self, password_hash: str, password: str, *, priority: bool = False) -> bool:
        """Compare a password with a hash.

        Args:
            priority: before the waiting ones without priority.

        Raises:
            TooManyAttempts: it took too long.
        """
        if not self._turn.acquire(PATIENCE, priority=priority):
            raise too_many_sign_ins()
        try:
            question = json.dumps([password_hash, password]).encode() + b"\n"
            answer = self._ask(question) or self._ask(question)  # it may have been killed
        finally:
            self._turn.release()
        if not answer:
            raise too_many_sign_ins()
        return answer == b"1"

    def _ask(self, question: bytes) -> bytes:
        """Return the answer; nothing if the process is gone.

        Raises:
            TooManyAttempts: it took too long.
        """
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - narrows the type
        assert process.stdout is not None  # noqa: S101 - narrows the type
        try:
            process.stdin.write(question)
            process.stdin.flush()
        except OSError:
            self.close()
            return b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                logger.error("a password was not verified in %s seconds", PATIENCE)
                self.close()  # or its answer would be taken for the next one's
                raise too_many_sign_ins()
        answer = os.read(process.stdout.fileno(), 1)
        if not answer:
            self.close()
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid():
            # -I: nothing of the environment or the working directory decides what it imports.
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._owner = os.getpid()
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not sent can't be sent now
                    continue
        process.wait()


def too_many_sign_ins() -> TooManyAttempts:
    """Return the error for a password that can't be verified soon enough."""
    return TooManyAttempts("Too many sign-ins right now.", "Try again in a moment.", RETRY_AFTER)


_process = HashingProcess()
atexit.register(_process.close)


def verify_password(password_hash: str | None, password: str, *, priority: bool = False) -> bool:
    """Compare, with the same work where there is no user (``password_hash`` None).

    Args:
        priority: before the waiting ones without priority.

    Raises:
        TooManyAttempts: it took too long.
    """
    stored = password_hash or hash_for_unknown_users()
    right = _process.verify(stored, password, priority=priority)
    return right and password_hash is not None
