"""Admits a few checks of passwords at a time: each holds a thread while it waits for a hash.

Strangers with many networks and user names can fill any number of places. So the places are
limited by priority (trunk reservation): address blocks that wrong passwords came from get the
first ones, all others some more, and the last ones are reserved for user names that were right
in their network within the last weeks. Those are also hashed first.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto

from flask import Flask, current_app

from ..page_slots import reacquire_page_slot, release_page_slot
from .hashing import PATIENCE, too_many_sign_ins


class Priority(Enum):
    """What is known of a client before its password is checked."""

    #: Wrong passwords came from its address block.
    FAILING = auto()
    UNKNOWN = auto()
    #: The user name was right in this network before.
    KNOWN = auto()


#: Up to how many different checks under way, of all priorities, a further one is admitted.
MAX_CHECKS = {Priority.FAILING: 3, Priority.UNKNOWN: 6, Priority.KNOWN: 10}
#: The same for requests that wait for a check, the one that is checked included.
MAX_WAITING = {Priority.FAILING: 5, Priority.UNKNOWN: 8, Priority.KNOWN: 12}
#: Maximum number of requests of one process that wait. Each holds a thread: see admission.py.
THREADS = max(MAX_WAITING.values())
#: Maximum number of checks of known, and of other user names for one network.
MAX_OF_NETWORK = 4
#: Maximum number of checks of a known user name: a user can be known in any number of networks.
MAX_OF_KNOWN_NAME = 2
#: Maximum number of other user names for a network that many wrong passwords came from.
MAX_OF_SUSPECT = 1


@dataclass(frozen=True, slots=True)
class Client:
    """A user name and the network that it is shown from.

    Args:
        is_suspect: many wrong passwords came from this network.
        is_failing: some came from its address block.
    """

    username: str
    network: str
    is_suspect: bool = False
    is_failing: bool = False


@dataclass(slots=True)
class _Check:
    """A check under way, and how many requests wait for it."""

    client: Client
    is_known: bool
    outcome: Future[bool] = field(default_factory=Future)
    waiting: int = 1


#: A client's user name and network, and the password as a keyed hash.
_Key = tuple[str, str, bytes]


class PasswordChecks:
    """Admits checks; equal ones at the same time are one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)
        self._checks: dict[_Key, _Check] = {}

    def share(
        self,
        client: Client,
        password: str,
        check: Callable[[], bool],
        is_known: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Return the outcome of a check, run here or by an equal request at this moment.

        Args:
            check: compares the password, and counts it if it is wrong.
            is_known: looks up whether the user name was right in this network before. It is
                called only if there is no other place.

        Raises:
            TooManyAttempts: too many wait already, or it took too long.
            SiteBusy: the password is right, but too many pages are being answered.
        """
        digest = hmac.digest(self._secret, password.encode("utf-8", "surrogatepass"), "sha256")
        key = (client.username, client.network, digest)
        entry, is_first = self._enter(key, client, is_known)
        try:
            release_page_slot()  # it waits now, on a thread that is counted here
            if is_first:
                right = check()
                entry.outcome.set_result(right)
            else:
                right = _wait(entry.outcome)
            if right:  # what follows can take long, and is not counted here
                reacquire_page_slot()
            return right
        finally:
            self._leave(key, entry, is_first=is_first)

    def _enter(
        self, key: _Key, client: Client, is_known: Callable[[], bool]
    ) -> tuple[_Check, bool]:
        """Join an equal check or begin one."""
        priority = Priority.FAILING if client.is_failing else Priority.UNKNOWN
        with self._lock:
            entered = self._admit(key, client, priority)
            can_reserve = entered is None and self._has_place(key, client, Priority.KNOWN)
        if can_reserve and is_known():
            with self._lock:
                entered = self._admit(key, client, Priority.KNOWN)
        if entered is None:
            raise too_many_sign_ins()
        return entered

    def _admit(self, key: _Key, client: Client, priority: Priority) -> tuple[_Check, bool] | None:
        if not self._has_place(key, client, priority):
            return None
        entry = self._checks.get(key)
        if entry is not None:
            entry.waiting += 1
            return entry, False
        entry = self._checks[key] = _Check(client, priority is Priority.KNOWN)
        return entry, True

    def _has_place(self, key: _Key, client: Client, priority: Priority) -> bool:
        checks = self._checks.values()
        if sum(check.waiting for check in checks) >= MAX_WAITING[priority]:
            return False
        if key in self._checks:
            return True
        # Guesses at one name come one by one, so that each is counted before the next.
        names = {(check.client.username, check.client.network) for check in checks}
        if len(checks) >= MAX_CHECKS[priority] or (client.username, client.network) in names:
            return False
        known = priority is Priority.KNOWN
        of_name = [c for c in checks if c.client.username == client.username and c.is_known]
        if known and len(of_name) >= MAX_OF_KNOWN_NAME:
            return False
        limit = MAX_OF_SUSPECT if client.is_suspect and not known else MAX_OF_NETWORK
        same = [c for c in checks if c.client.network == client.network and c.is_known is known]
        return len(same) < limit

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
