"""Checks bearer tokens as the registry does: our keys, ES256 alone, issuer, service, times.

The gate knows by it who pushes, before the registry does. What a header says of its own
key (``x5c``, ``jwk``) is never believed: ``kid`` selects one of ours, and proves nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from .keyring import LEEWAY, LOOK_EVERY, KeyRing

ALGORITHM = "ES256"


class TokenInvalid(ValueError):
    """A bearer token that proves nothing, for whatever reason."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a bearer token proves: who sent it, its ``jti``, and the actions by repository."""

    subject: str
    token_id: str
    access: dict[str, frozenset[str]]

    def grants(self, repository: str, actions: Collection[str]) -> bool:
        """Whether the token holds all of these actions for a repository."""
        granted = self.access.get(repository, frozenset())
        return "*" in granted or granted.issuperset(actions)


class _Headers(JWSRegistry):
    """Our headers hold a certificate, which takes more than the library allows."""

    max_header_length = 8192


class TokenVerifier:
    """Verifies tokens with every key of the ring; a rotation by command reaches it.

    Args:
        ring: whose keys are trusted: the active one, its successor, its predecessor.
        issuer, service: ``iss`` and ``aud``.
    """

    def __init__(
        self,
        ring: KeyRing,
        issuer: str,
        service: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring, self._service = ring, service
        self._clock, self._lock = clock, threading.Lock()
        self._headers = _Headers(algorithms=[ALGORITHM])
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": service},
            exp={"essential": True},
        )
        self._seen: tuple[int, ...] = ()
        self._keys: dict[str, ECKey] = {}
        self._look()

    def verify(self, token: str) -> VerifiedToken:
        """Return what a token proves.

        Raises:
            TokenInvalid: another key, algorithm, issuer or service; expired, not yet valid,
                or no token at all.
        """
        if self._clock() >= self._look_at:
            with self._lock:
                self._look()
        try:
            decoded = jwt.decode(token, self._key_of, registry=self._headers)
            claims = decoded.claims
            self._claims.validate(claims)
            if claims["aud"] != self._service:  # 2.8 reads no list
                raise TokenInvalid("aud is a list")
            access = _access(claims.get("access"))
            return VerifiedToken(claims.get("sub", ""), claims.get("jti", ""), access)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise TokenInvalid(str(error)) from None

    def _key_of(self, signed: Any) -> ECKey:
        key = self._keys.get(signed.headers().get("kid"))
        if key is None:
            raise TokenInvalid("signed by no key of ours")
        return key

    def _look(self) -> None:
        """Read the keys again where a file has changed; one that breaks off changes nothing."""
        self._look_at = self._clock() + LOOK_EVERY
        seen = self._ring.fingerprint()
        if seen == self._seen:
            return
        try:
            keys = self._ring.jwks()["keys"]
        except ValueError:
            return
        self._keys = {key["kid"]: ECKey.import_key(key) for key in keys}
        self._seen = seen


def _access(claim: Any) -> dict[str, frozenset[str]]:
    """Return the actions by repository; entries of one repository are merged."""
    found: dict[str, frozenset[str]] = {}
    for entry in claim or []:
        if entry.get("type") == "repository":
            name = str(entry.get("name"))
            actions = frozenset(str(action) for action in entry.get("actions") or [])
            found[name] = found.get(name, frozenset()) | actions
    return found


def init_app(app: Flask) -> None:
    """Make the application's verifier, with the keys that sign."""
    signer = app.extensions["signer"]
    app.extensions["verifier"] = TokenVerifier(signer.ring, signer.issuer, signer.service)


def verifier() -> TokenVerifier:
    """Return the application's verifier."""
    found: TokenVerifier = current_app.extensions["verifier"]
    return found
