"""Bearer tokens: ES256, with the certificate in ``x5c``.

``x5c`` is the only form that both 2.8 and 3.x accept (PROTOCOLS 2.3).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

#: The subject of our own calls to the registry. No user can have it: ``-`` is no
#: component of a path. Its events are recognised by it and never counted.
OWN_SUBJECT = "-/registry_ui"

#: The registry allows 60 s of leeway; a clock ahead of the registry's needs less than that.
NOT_BEFORE_SLACK = 10


class KeyUnusable(RuntimeError):
    """The signing key or its certificate can't be used. The message says why."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A bearer token, and what the answer to a client says of it."""

    token: str
    issued_at: datetime
    lifetime: int


class Signer:
    """Signs bearer tokens for one service with one key.

    Args:
        key_pem: an EC P-256 private key. 2.8 panics on Ed25519 and refuses PS256.
        certificate_pem: its certificate, which the registry has in ``rootcertbundle``.
        issuer, service: ``iss`` and ``aud``, as in the registry's configuration.
        lifetime: seconds.

    Raises:
        KeyUnusable: another kind of key, or a certificate of another key.
    """

    def __init__(
        self, key_pem: bytes, certificate_pem: bytes, issuer: str, service: str, lifetime: int
    ) -> None:
        key = serialization.load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(
            key.curve, ec.SECP256R1
        ):
            raise KeyUnusable("the signing key is no EC P-256 key")
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        if certificate.public_key() != key.public_key():
            raise KeyUnusable("the certificate belongs to another key")
        self._key = ECKey.import_key(key_pem)
        self.key_id = libtrust_key_id(key.public_key())
        der = certificate.public_bytes(serialization.Encoding.DER)
        self._header = {
            "typ": "JWT",
            "alg": "ES256",
            "kid": self.key_id,
            "x5c": [base64.b64encode(der).decode()],
        }
        self.issuer, self.service, self.lifetime = issuer, service, lifetime

    @classmethod
    def from_files(
        cls, key: Path, certificate: Path, issuer: str, service: str, lifetime: int
    ) -> Signer:
        """Read key and certificate; raise KeyUnusable where there are none."""
        try:
            return cls(key.read_bytes(), certificate.read_bytes(), issuer, service, lifetime)
        except (OSError, ValueError) as error:
            raise KeyUnusable(f"no usable signing key at {key}: {error}") from error

    def sign(
        self, subject: str, access: list[dict[str, Any]], lifetime: int | None = None
    ) -> SignedToken:
        """Sign a token for ``subject`` with the given ``access`` entries.

        All times are whole seconds: both registries refuse fractions. ``aud`` is one
        string: 2.8 can't read a list (PROTOCOLS 2.3).
        """
        now = int(time.time())
        seconds = lifetime or self.lifetime
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": self.service,
            "exp": now + seconds,
            "nbf": now - NOT_BEFORE_SLACK,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            "access": access,
        }
        token = jwt.encode(self._header, claims, self._key, algorithms=["ES256"])
        return SignedToken(token, datetime.fromtimestamp(now, UTC), seconds)

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK Set (RFC 7517)."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "ES256"}]}


def libtrust_key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the key's id as libtrust, and so 2.8, writes it (PROTOCOLS 2.2)."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, 48, 4))
