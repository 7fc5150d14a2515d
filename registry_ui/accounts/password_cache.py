"""Cache of recently verified passwords, so that the next docker command need not wait for argon2.

The cache is in memory only. Passwords are stored as a keyed hash (HMAC), whose key is lost when
the process ends. An entry contains the argon2 hash that the password was verified against, so a
password change invalidates the entry, even if it happens in a different process.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict

from flask import Flask, current_app

LIFETIME = 300.0
MAX_ENTRIES = 10_000


class PasswordCache:
    """Cache of verified passwords with a maximum size and lifetime. Thread-safe.

    Args:
        lifetime: seconds for which an entry is valid.
        size: maximum number of entries.
    """

    def __init__(self, lifetime: float = LIFETIME, size: int = MAX_ENTRIES) -> None:
        self._secret = secrets.token_bytes(32)
        self._lifetime, self._size = lifetime, size
        self._entries: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def may_be_right(self, username: str, password: str) -> bool:
        """Return whether there is an entry for this user name and password, valid or not.

        The call needs no database query. If it returns False, is_right() would do so for any hash.
        """
        with self._lock:
            return self._compute_key(username, password) in self._entries

    def is_right(self, username: str, password: str, password_hash: str) -> bool:
        """Return whether this password was recently verified against this hash."""
        with self._lock:
            entry = self._entries.get(self._compute_key(username, password))
        if entry is None or entry[1] < time.monotonic():
            return False
        return hmac.compare_digest(entry[0], password_hash)

    def keep(self, username: str, password: str, password_hash: str) -> None:
        """Add a password that was just verified; drop the oldest entries if the cache is full."""
        with self._lock:
            key = self._compute_key(username, password)
            self._entries.pop(key, None)
            self._entries[key] = (password_hash, time.monotonic() + self._lifetime)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def _compute_key(self, username: str, password: str) -> bytes:
        return hmac.digest(
            self._secret, f"{username}\0{password}".encode("utf-8", "surrogatepass"), "sha256"
        )


def init_app(app: Flask) -> None:
    """Create the application's cache of verified passwords."""
    app.extensions["password_cache"] = PasswordCache()


def cached_passwords() -> PasswordCache:
    """Return the current application's cache of verified passwords."""
    cache: PasswordCache = current_app.extensions["password_cache"]
    return cache
