"""Verifier for bearer tokens. It makes the same checks as the registry.

It checks the key, the algorithm (ES256), the issuer, the audience, and the times. The gate, which
a proxy asks about each request for the registry, uses it to identify the client. Keys in the
header of a token (``x5c``, ``jwk``) are never trusted: ``kid`` only selects a key of the ring.
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

from .keyring import LEEWAY, POLL_INTERVAL, KeyRing

ALGORITHM = "ES256"


class TokenInvalid(ValueError):
    """The bearer token is not valid: malformed, expired, or not issued by this application."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The claims of a valid bearer token.

    Attributes:
        subject: user name of the client (``sub``); empty for an anonymous client.
        token_id: unique id of the token (``jti``).
        access: granted actions by repository.
    """

    subject: str
    token_id: str
    access: dict[str, frozenset[str]]

    def grants(self, repository: str, actions: Collection[str]) -> bool:
        """Return whether the token grants all of these actions for a repository."""
        granted = self.access.get(repository, frozenset())
        return "*" in granted or granted.issuperset(actions)


class _Headers(JWSRegistry):
    """JWS settings with a higher limit for the header, which contains a certificate."""

    max_header_length = 8192


class TokenVerifier:
    """Verifies bearer tokens with all keys of a key ring, and reloads the keys after a rotation.

    Args:
        ring: the trusted keys: active, staged, and previous.
        issuer, service: required values of ``iss`` and ``aud``.
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
        self._fingerprint: tuple[int, ...] = ()
        self._keys: dict[str, ECKey] = {}
        self._reload_if_changed()

    def verify(self, token: str) -> VerifiedToken:
        """Verify a bearer token and return its claims.

        Raises:
            TokenInvalid: the token is malformed, was not signed with a key of the ring and
                ES256, has the wrong issuer or audience, or is expired or not yet valid.
        """
        if self._clock() >= self._next_check_at:
            with self._lock:
                self._reload_if_changed()
        try:
            decoded = jwt.decode(token, self._find_key, registry=self._headers)
            claims = decoded.claims
            self._claims.validate(claims)
            if claims["aud"] != self._service:  # Distribution 2.8 does not accept a list.
                raise TokenInvalid("aud is a list")
            access = _access_from_claim(claims.get("access"))
            return VerifiedToken(claims.get("sub", ""), claims.get("jti", ""), access)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise TokenInvalid(str(error)) from None

    def _find_key(self, signed_token: Any) -> ECKey:
        key = self._keys.get(signed_token.headers().get("kid"))
        if key is None:
            raise TokenInvalid("signed by no key of ours")
        return key

    def _reload_if_changed(self) -> None:
        """Reload the keys if a file has changed; keep the old ones if a file can't be read."""
        self._next_check_at = self._clock() + POLL_INTERVAL
        try:
            fingerprint = self._ring.fingerprint()
            if fingerprint == self._fingerprint:
                return
            keys = self._ring.jwks()["keys"]
        except (ValueError, OSError):
            return
        self._keys = {key["kid"]: ECKey.import_key(key) for key in keys}
        self._fingerprint = fingerprint


def _access_from_claim(claim: Any) -> dict[str, frozenset[str]]:
    """Return the granted actions by repository from an ``access`` claim.

    Several entries for one repository are merged; entries for other types of resources are ignored.
    """
    access: dict[str, frozenset[str]] = {}
    for entry in claim or []:
        if entry.get("type") == "repository":
            name = str(entry.get("name"))
            actions = frozenset(str(action) for action in entry.get("actions") or [])
            access[name] = access.get(name, frozenset()) | actions
    return access


def init_app(app: Flask) -> None:
    """Create the application's token verifier, with the key ring of its signer."""
    signer = app.extensions["signer"]
    app.extensions["verifier"] = TokenVerifier(signer.ring, signer.issuer, signer.service)


def verifier() -> TokenVerifier:
    """Return the current application's token verifier."""
    token_verifier: TokenVerifier = current_app.extensions["verifier"]
    return token_verifier
