"""Admission control for password checks, because each one occupies a thread while it waits.

An attacker with many networks and user names can fill any number of slots. So the number of
slots depends on the priority of a client (trunk reservation): clients from address blocks that
sent wrong passwords can use only the first few slots, other clients a few more, and the last
slots are reserved for users who signed in from the same network in recent weeks. The passwords of
these users are also hashed first.
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
from .hashing import HASHING_TIMEOUT, too_many_sign_ins


class Priority(Enum):
    """The priority of a client's password check, lowest first."""

    #: The client's address block has sent wrong passwords recently.
    FAILING = auto()
    #: Neither FAILING nor KNOWN applies.
    UNKNOWN = auto()
    #: The user has signed in from this network recently.
    KNOWN = auto()


#: Maximum number of running password checks, by the priority of the check to be admitted. All
#: running checks count, whatever their priority.
MAX_CHECKS = {Priority.FAILING: 3, Priority.UNKNOWN: 6, Priority.KNOWN: 10}
#: Maximum number of requests that wait for password checks, by the priority of the request to be
#: admitted. The requests that run the checks count too.
MAX_WAITING = {Priority.FAILING: 5, Priority.UNKNOWN: 8, Priority.KNOWN: 12}
#: Maximum number of threads of one process that wait for password checks (see http/admission.py).
MAX_THREADS = max(MAX_WAITING.values())
#: Maximum number of running checks per network, counted separately for known and
#: unknown user names.
MAX_OF_NETWORK = 4
#: Maximum number of running checks per known user name. This limit is needed because a user can be
#: known in any number of networks.
MAX_OF_KNOWN_NAME = 2
#: Maximum number of running checks of unknown user names per network that has sent many wrong
#: passwords.
MAX_OF_SUSPECT = 1


@dataclass(frozen=True, slots=True)
class Client:
    """The user name and the network of a sign-in attempt.

    Args:
        is_suspect: whether many wrong passwords came from this network.
        is_failing: whether wrong passwords came from the client's address block recently.
    """

    username: str
    network: str
    is_suspect: bool = False
    is_failing: bool = False


@dataclass(slots=True)
class _Check:
    """A running password check, and the number of requests that wait for its outcome."""

    client: Client
    is_known: bool
    outcome: Future[bool] = field(default_factory=Future)
    waiter_count: int = 1


#: Key of a check: user name, network, and a keyed hash of the password.
_Key = tuple[str, str, bytes]


class PasswordChecks:
    """Runs password checks within the limits of this module.

    If several requests have the same user name, network, and password, the check runs only once.
    """

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
        """Run a password check, or wait for an equal one; return whether the password is correct.

        Args:
            check: verifies the password, and counts it if it is wrong.
            is_known: looks up whether the user signed in from this network recently. It is
                called only if all unreserved slots are taken.

        Raises:
            TooManyAttempts: no slot is free, or the check took too long.
            SiteBusy: the password is correct, but too many page requests are being served.
        """
        digest = hmac.digest(self._secret, password.encode("utf-8", "surrogatepass"), "sha256")
        key = (client.username, client.network, digest)
        entry, is_first = self._enter(key, client, is_known)
        try:
            # While this thread waits for the password check, it must not take a slot from page
            # requests. MAX_WAITING limits the number of threads that wait here.
            release_page_slot()
            if is_first:
                is_correct = check()
                entry.outcome.set_result(is_correct)
            else:
                is_correct = _wait(entry.outcome)
            if is_correct:
                # The rest of the request can take long and is not limited by this class.
                reacquire_page_slot()
            return is_correct
        finally:
            self._leave(key, entry, is_first=is_first)

    def _enter(
        self, key: _Key, client: Client, is_known: Callable[[], bool]
    ) -> tuple[_Check, bool]:
        """Join an equal running check or register a new one; return the check, and if it is new.

        Raises:
            TooManyAttempts: no slot is free.
        """
        priority = Priority.FAILING if client.is_failing else Priority.UNKNOWN
        with self._lock:
            admission = self._admit(key, client, priority)
            can_reserve = admission is None and self._has_slot(key, client, Priority.KNOWN)
        if can_reserve and is_known():
            with self._lock:
                admission = self._admit(key, client, Priority.KNOWN)
        if admission is None:
            raise too_many_sign_ins()
        return admission

    def _admit(self, key: _Key, client: Client, priority: Priority) -> tuple[_Check, bool] | None:
        if not self._has_slot(key, client, priority):
            return None
        entry = self._checks.get(key)
        if entry is not None:
            entry.waiter_count += 1
            return entry, False
        entry = self._checks[key] = _Check(client, priority is Priority.KNOWN)
        return entry, True

    def _has_slot(self, key: _Key, client: Client, priority: Priority) -> bool:
        checks = self._checks.values()
        if sum(check.waiter_count for check in checks) >= MAX_WAITING[priority]:
            return False
        if key in self._checks:
            return True
        # Check one password per user name and network at a time, so that each failure is counted
        # before the next guess.
        names = {(check.client.username, check.client.network) for check in checks}
        if len(checks) >= MAX_CHECKS[priority] or (client.username, client.network) in names:
            return False
        is_known = priority is Priority.KNOWN
        same_name = [c for c in checks if c.client.username == client.username and c.is_known]
        if is_known and len(same_name) >= MAX_OF_KNOWN_NAME:
            return False
        limit = MAX_OF_SUSPECT if client.is_suspect and not is_known else MAX_OF_NETWORK
        same_network = [
            c for c in checks if c.client.network == client.network and c.is_known is is_known
        ]
        return len(same_network) < limit

    def _leave(self, key: _Key, entry: _Check, *, is_first: bool) -> None:
        with self._lock:
            entry.waiter_count -= 1
            if is_first:
                self._checks.pop(key, None)
        if is_first and not entry.outcome.done():
            # The check raised an exception: end the wait of the other requests.
            entry.outcome.set_exception(too_many_sign_ins())


def _wait(outcome: Future[bool]) -> bool:
    try:
        return outcome.result(2 * HASHING_TIMEOUT)
    except TimeoutError:
        raise too_many_sign_ins() from None


def init_app(app: Flask) -> None:
    """Create the application's admission control for password checks."""
    app.extensions["password_checks"] = PasswordChecks()


def password_checks() -> PasswordChecks:
    """Return the current application's admission control for password checks."""
    checks: PasswordChecks = current_app.extensions["password_checks"]
    return checks
