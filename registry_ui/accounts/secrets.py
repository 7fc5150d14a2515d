"""Password hashes and random secrets. Pure functions: no Flask, no database."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import string
import zlib
from functools import cache

from argon2 import PasswordHasher
from argon2.low_level import ARGON2_VERSION

#: Prefix of each kind of secret (access token, deploy token, docker session). The prefix shows the
#: kind, and lets secret scanners find the secret.
ACCESS_PREFIX, DEPLOY_PREFIX, SESSION_PREFIX = "rui_", "ruid_", "ruis_"
PREFIXES = (ACCESS_PREFIX, DEPLOY_PREFIX, SESSION_PREFIX)
MIN_PASSWORD = 8
MAX_PASSWORD = 1024

#: Matches a secret that new_secret() returned, or a large part of one, anywhere in a text.
_SECRET = re.compile(r"(ruid?|ruis)_[0-9a-z]{16,}[0-9a-z_]*", re.IGNORECASE | re.ASCII)
_ALPHABET = string.digits + string.ascii_letters
_BODY_LENGTH = 40
_CHECKSUM_LENGTH = 6
_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    return _hasher.hash(password)


@cache
def hash_for_unknown_users() -> str:
    """Return a hash that no password matches, so that unknown users take as long as known ones.

    The hash is made of random bytes instead of computed. A computation would take a tenth of a
    second and 64 MiB in the process that serves requests, and delay the first unknown user alone.
    """
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    salt, digest = secrets.token_bytes(_hasher.salt_len), secrets.token_bytes(_hasher.hash_len)
    return f"$argon2id$v={ARGON2_VERSION}${cost}${_encode(salt)}${_encode(digest)}"


def new_password() -> str:
    """Return a random password of 20 letters and digits (119 bits)."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20))


def new_secret(prefix: str) -> str:
    """Return a new secret: prefix, 238 random bits, and a checksum for secret scanners."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_BODY_LENGTH))
    return prefix + body + _compute_checksum(body)


def prefix_of(text: str) -> str | None:
    """Return the prefix of a secret made by new_secret(), or None for any other text.

    The length and the checksum are verified too. Text with a valid prefix is looked up as a token
    and never hashed as a password.
    """
    prefix, _, body = text.partition("_")
    prefix += "_"
    if prefix not in PREFIXES or len(body) != _BODY_LENGTH + _CHECKSUM_LENGTH:
        return None
    return prefix if _compute_checksum(body[:_BODY_LENGTH]) == body[_BODY_LENGTH:] else None


def mask_secrets(text: str) -> str:
    """Return a text in which everything that looks like a secret is cut to its prefix and ``***``.

    Users sometimes enter a token as the user name, and user names are logged.
    """
    return _SECRET.sub(r"\1_***", text) if "_" in text else text


def secret_hash(secret: str) -> str:
    """Return the hexadecimal SHA-256 hash by which a random secret is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _encode(data: bytes) -> str:
    """Return Base64 without padding, as the argon2 format requires."""
    return base64.b64encode(data).decode().rstrip("=")


def _compute_checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, remainder = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[remainder] + digits
    return digits
