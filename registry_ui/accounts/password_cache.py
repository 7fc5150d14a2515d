"""Right passwords, remembered for minutes: the second docker command need not wait for argon2.

Kept in memory only, under a keyed hash with a key that dies with the process. What is
remembered is the stored hash that the password was right for: a new password, or one
that another process has changed, is another hash.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict

from flask import Flask, current_app

LIFETIME = 300.0
SIZE = 10_000


class PasswordCache:
    """A bounded memory, safe to share between threads."""

    def __init__(self, lifetime: float = LIFETIME, size: int = SIZE) -> None:
        self._key = secrets.token_bytes(32)
        self._lifetime, self._size = lifetime, size
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def may_be_right(self, username: str, password: str) -> bool:
        """Whether this password was right not long ago, if it was not changed since."""
        with self._lock:
            return self._name(username, password) in self._known

    def is_right(self, username: str, password: str, password_hash: str) -> bool:
        """Whether this password was right for this very hash, not long ago."""
        with self._lock:
            known = self._known.get(self._name(username, password))
        if known is None or known[1] < time.monotonic():
            return False
        return hmac.compare_digest(known[0], password_hash)

    def keep(self, username: str, password: str, password_hash: str) -> None:
        """Remember a password that was found right; the oldest is forgotten for it."""
        with self._lock:
            name = self._name(username, password)
            self._known.pop(name, None)
            self._known[name] = (password_hash, time.monotonic() + self._lifetime)
            while len(self._known) > self._size:
                self._known.popitem(last=False)

    def _name(self, username: str, password: str) -> bytes:
        return hmac.digest(
            self._key, f"{username}\0{password}".encode("utf-8", "surrogatepass"), "sha256"
        )


def init_app(app: Flask) -> None:
    """Give the application a memory of its own."""
    app.extensions["remembered_passwords"] = PasswordCache()


def cached_passwords() -> PasswordCache:
    """Return the application's memory."""
    found: PasswordCache = current_app.extensions["remembered_passwords"]
    return found
