"""Passwords and random secrets. Pure: no Flask, no database."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

from argon2 import PasswordHasher

#: The public part of each kind of secret, for secret scanners and for us.
ACCESS_PREFIX, DEPLOY_PREFIX, SESSION_PREFIX = "rui_", "ruid_", "ruis_"
PREFIXES = (ACCESS_PREFIX, DEPLOY_PREFIX, SESSION_PREFIX)
MIN_PASSWORD = 8
MAX_PASSWORD = 1024

#: One of our secrets, or enough of one to be worth hiding, whatever is glued to either end of it.
_SECRET = re.compile(r"(ruid?|ruis)_[0-9a-z]{16,}[0-9a-z_]*", re.IGNORECASE | re.ASCII)
_ALPHABET = string.digits + string.ascii_letters
_BODY = 40
_CHECK = 6
_hasher = PasswordHasher()
_DUMMY = _hasher.hash(secrets.token_hex(16))


def hash_password(password: str) -> str:
    """Return an argon2id hash."""
    return _hasher.hash(password)


def hash_for_unknown_users() -> str:
    """Return a hash that no password has, so that unknown users take as long as known ones."""
    return _DUMMY


def new_password() -> str:
    """Return a random password of 120 bits that can be typed."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20))


def new_secret(prefix: str) -> str:
    """Return a secret: prefix, 238 random bits, and a checksum for secret scanners."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_BODY))
    return prefix + body + _checksum(body)


def prefix_of(text: str) -> str | None:
    """Return the prefix of one of our secrets; None where length or checksum do not fit.

    What has one is looked up, and no password hash is ever computed for it.
    """
    prefix, _, body = text.partition("_")
    prefix += "_"
    if prefix not in PREFIXES or len(body) != _BODY + _CHECK:
        return None
    return prefix if _checksum(body[:_BODY]) == body[_BODY:] else None


def mask_secrets(text: str) -> str:
    """Return a text in which only the prefix remains of what looks like one of our secrets.

    People type a token where the user name belongs, and what they typed is logged.
    """
    return _SECRET.sub(r"\1_***", text) if "_" in text else text


def secret_hash(secret: str) -> str:
    """Return the SHA-256 under which a random secret is stored and found."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
