"""Password verification in a separate low-priority process, so that requests never wait for it.

Computing a hash takes a tenth of a second on several cores, and 64 MiB of memory. In the process
that serves requests, it would take CPU time from them. A low-priority thread in that process
would not help: it could hold the GIL while it waits for a CPU, and block all other threads.
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
#: Timeout in seconds, both for waiting in the queue and for the answer of the process.
#: The timeout is long, because a low-priority process is slow on a busy machine.
HASHING_TIMEOUT = 20.0
RETRY_AFTER = 2


class PriorityLock:
    """A lock that admits waiting threads with priority first, in order of arrival."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ticket_numbers = itertools.count()
        self._tickets: list[tuple[bool, int]] = []
        self._is_held = False

    def acquire(self, timeout: float, *, priority: bool = False) -> bool:
        """Acquire the lock; return False if it was not free within ``timeout`` seconds."""
        with self._changed:
            ticket = (not priority, next(self._ticket_numbers))
            bisect.insort(self._tickets, ticket)
            try:
                acquired = self._changed.wait_for(
                    lambda: not self._is_held and self._tickets[0] == ticket, timeout
                )
                self._is_held = self._is_held or acquired
            finally:
                self._tickets.remove(ticket)
                self._changed.notify_all()  # Wake the next in line, which waited for this one.
            return acquired

    def release(self) -> None:
        """Release the lock and wake the next waiting thread."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()


class HashingProcess:
    """Client of the process that verifies passwords.

    The process is started by the first call, and again by the next call if it has died.
    """

    def __init__(self) -> None:
        self._lock = PriorityLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def verify(self, password_hash: str, password: str, *, priority: bool = False) -> bool:
        """Return whether a password matches a hash.

        Args:
            priority: whether this call goes ahead of waiting calls without priority.

        Raises:
            TooManyAttempts: HASHING_TIMEOUT expired, either in the queue or while hashing.
        """
        if not self._lock.acquire(HASHING_TIMEOUT, priority=priority):
            raise too_many_sign_ins()
        try:
            line = json.dumps([password_hash, password]).encode() + b"\n"
            # Try twice: the process may have been killed, and the second call restarts it.
            answer = self._ask(line) or self._ask(line)
        finally:
            self._lock.release()
        if not answer:
            raise too_many_sign_ins()
        return answer == b"1"

    def _ask(self, line: bytes) -> bytes:
        """Send a request line to the process; return b"1", b"0", or b"" if the process has died.

        Raises:
            TooManyAttempts: there was no answer within HASHING_TIMEOUT.
        """
        process = self._ensure_started()
        assert process.stdin is not None  # noqa: S101 - narrows the type
        assert process.stdout is not None  # noqa: S101 - narrows the type
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except OSError:
            self.close()
            return b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(HASHING_TIMEOUT):
                logger.error("a password was not verified in %s seconds", HASHING_TIMEOUT)
                self.close()  # A late answer would be taken as the answer to the next line.
                raise too_many_sign_ins()
        answer = os.read(process.stdout.fileno(), 1)
        if not answer:
            self.close()
        return answer

    def _ensure_started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid():
            # -I: the environment and working directory must not affect the program's imports.
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._owner = os.getpid()
        return self._process

    def close(self) -> None:
        """Kill the process, unless it belongs to a parent of this process (after a fork)."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # Flushing the rest of the input fails: the process is dead.
                    continue
        process.wait()


def too_many_sign_ins() -> TooManyAttempts:
    """Return the error for a password check that can't run soon enough (HTTP 429)."""
    return TooManyAttempts("Too many sign-ins right now.", "Try again in a moment.", RETRY_AFTER)


_process = HashingProcess()
atexit.register(_process.close)


def verify_password(password_hash: str | None, password: str, *, priority: bool = False) -> bool:
    """Return whether a password matches a hash.

    Args:
        password_hash: None for an unknown user. The result is then False, after the same
            amount of work, so that the response time does not reveal which users exist.
        priority: whether this call goes ahead of waiting calls without priority.

    Raises:
        TooManyAttempts: HASHING_TIMEOUT expired, either in the queue or while hashing.
    """
    compared_hash = password_hash or hash_for_unknown_users()
    is_match = _process.verify(compared_hash, password, priority=priority)
    return is_match and password_hash is not None
