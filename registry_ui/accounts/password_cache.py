"""Cache of recently verified passwords, so that the next docker command need not wait for argon2.

It is kept in memory only, under a keyed hash whose key is lost with the process. An entry
stores the password hash it was verified against, so changing the password invalidates it,
also if another process changes it.
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
    """Cache of verified passwords with a maximum size and lifetime. Thread-safe.

    Args:
        lifetime: seconds for which an entry is valid.
        size: maximum number of entries.
    """

    def __init__(self, lifetime: float = LIFETIME, size: int = SIZE) -> None:
        self._key = secrets.token_bytes(32)
        self._lifetime, self._size = lifetime, size
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def may_be_right(self, username: str, password: str) -> bool:
        """Return whether there is an entry for this password, valid or not.

        This needs no query: use it to decide whether it is worth reading the stored hash.
        """
        with self._lock:
            return self._name(username, password) in self._known

    def is_right(self, username: str, password: str, password_hash: str) -> bool:
        """Return whether this password was recently verified against this hash."""
        with self._lock:
            known = self._known.get(self._name(username, password))
        if known is None or known[1] < time.monotonic():
            return False
        return hmac.compare_digest(known[0], password_hash)

    def keep(self, username: str, password: str, password_hash: str) -> None:
        """Add a password that was just verified; drop the oldest entries if the cache is full."""
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
    """Create the application's cache of verified passwords."""
    app.extensions["remembered_passwords"] = PasswordCache()


def cached_passwords() -> PasswordCache:
    """Return the current application's cache of verified passwords."""
    found: PasswordCache = current_app.extensions["remembered_passwords"]
    return found
