"""Admits a few checks of passwords at a time: each holds a thread while it waits for a hash."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from flask import Flask, current_app

from .hashing import PATIENCE, too_many_sign_ins

#: Maximum number of requests of one process that wait for a check of a password, the one that
#: is checked included. Each holds a thread: see admission.py.
MAX_WAITING = 8
#: Maximum number of different checks under way, and of those for one network.
MAX_CHECKS = 6
MAX_OF_NETWORK = 4
#: The same for a network that many wrong passwords came from.
MAX_OF_SUSPECT = 1


@dataclass(frozen=True, slots=True)
class _Key:
    """A password, as a keyed hash, shown under a user name from a network."""

    username: str
    network: str
    password: bytes


@dataclass(slots=True)
class _Check:
    """A check under way, and how many requests wait for it."""

    outcome: Future[bool] = field(default_factory=Future)
    waiting: int = 1


class PasswordChecks:
    """Admits checks; equal ones at the same time are one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)
        self._checks: dict[_Key, _Check] = {}

    def share(
        self,
        username: str,
        network: str,
        password: str,
        check: Callable[[], bool],
        *,
        suspect: bool = False,
    ) -> bool:
        """Return the outcome of a check, run here or by an equal request at this moment.

        Args:
            check: tells whether the password is right, and counts it if it is not.
            suspect: many wrong passwords came from this network.

        Raises:
            TooManyAttempts: too many wait already, or it took too long.
        """
        digest = hmac.digest(self._secret, password.encode("utf-8", "surrogatepass"), "sha256")
        key = _Key(username, network, digest)
        entry, is_first = self._enter(key, MAX_OF_SUSPECT if suspect else MAX_OF_NETWORK)
        try:
            if not is_first:
                return _wait(entry.outcome)
            right = check()
            entry.outcome.set_result(right)
            return right
        finally:
            self._leave(key, entry, is_first=is_first)

    def _enter(self, key: _Key, limit: int) -> tuple[_Check, bool]:
        with self._lock:
            if sum(entry.waiting for entry in self._checks.values()) >= MAX_WAITING:
                raise too_many_sign_ins()
            entry = self._checks.get(key)
            if entry is not None:
                entry.waiting += 1
                return entry, False
            networks = Counter(other.network for other in self._checks)
            # Guesses at one name come one by one, so that each is counted before the next.
            guesses = (key.username, key.network)
            one_before = any((o.username, o.network) == guesses for o in self._checks)
            full = len(self._checks) >= MAX_CHECKS or networks[key.network] >= limit
            if full or one_before:
                raise too_many_sign_ins()
            entry = self._checks[key] = _Check()
            return entry, True

    def _leave(self, key: _Key, entry: _Check, *, is_first: bool) -> None:
        with self._lock:
            entry.waiting -= 1
            if is_first:
                self._checks.pop(key, None)
        if is_first and not entry.outcome.done():
            entry.outcome.set_exception(too_many_sign_ins())  # the check broke off


def _wait(outcome: Future[bool]) -> bool:
    try:
        return outcome.result(2 * PATIENCE)
    except TimeoutError:
        raise too_many_sign_ins() from None


def init_app(app: Flask) -> None:
    """Give the application its own checks."""
    app.extensions["password_checks"] = PasswordChecks()


def password_checks() -> PasswordChecks:
    """Return the application's checks."""
    found: PasswordChecks = current_app.extensions["password_checks"]
    return found
