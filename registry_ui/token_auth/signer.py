"""Signer for bearer tokens: JWTs with ES256 and the certificate in ``x5c``.

``x5c`` is the only form that both Distribution 2.8 and 3.x accept (PROTOCOLS 2.3). The header
is the same for every token of a key, so it is encoded once; a token then needs one JSON
encoding and one signature. A JWT library, which encodes the header each time, takes 50% longer
(`make bench-token`); the tests use a library to verify every token.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey

#: Seconds by which ``nbf`` is set back, in case this host's clock is ahead of the
#: registry's. The registry's own leeway of 60 s covers larger differences.
NOT_BEFORE_SLACK = 10


class KeyUnusable(RuntimeError):
    """The signing key or its certificate is missing or unusable. The message says why."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A signed bearer token, with the fields of the response that describe it.

    Attributes:
        issued_at: time in RFC 3339 format, UTC, whole seconds.
        lifetime: lifetime of the token in seconds.
    """

    token: str
    issued_at: str
    lifetime: int


class Signer:
    """Signs bearer tokens for one issuer and audience with one key.

    Args:
        key_pem: an EC P-256 private key. Distribution 2.8 panics on Ed25519 and rejects PS256.
        certificate_pem: certificate of the key, which must be in the registry's ``rootcertbundle``.
        issuer, service: ``iss`` and ``aud``, as in the registry's configuration.
        lifetime: default lifetime of a token in seconds.

    Raises:
        KeyUnusable: the key is not EC P-256, or the certificate does not belong to the key.
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
        self._key = key
        self.key_id = libtrust_key_id(key.public_key())
        self.expires_at = certificate.not_valid_after_utc
        der = certificate.public_bytes(serialization.Encoding.DER)
        header = {
            "typ": "JWT",
            "alg": "ES256",
            "kid": self.key_id,
            "x5c": [base64.b64encode(der).decode()],
        }
        self._header = _encode_base64url(orjson.dumps(header)) + b"."
        self._algorithm = ec.ECDSA(hashes.SHA256())
        self.issuer, self.service, self.lifetime = issuer, service, lifetime

    def sign(
        self, subject: str, access: list[dict[str, Any]], lifetime: int | None = None
    ) -> SignedToken:
        """Sign a token for ``subject`` with the given ``access`` entries.

        All times are whole seconds, because Distribution 2.8 and 3.x reject fractions. ``aud``
        is a string, because 2.8 can't read a list (PROTOCOLS 2.3).

        Args:
            access: entries of the ``access`` claim, with ``type``, ``name``, and ``actions``.
            lifetime: lifetime of the token in seconds; None for the default.
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
        signing_input = self._header + _encode_base64url(orjson.dumps(claims))
        # A JWS contains r and s as 32 bytes each, not DER (RFC 7518, 3.4).
        r, s = decode_dss_signature(self._key.sign(signing_input, self._algorithm))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        token = (signing_input + b"." + _encode_base64url(signature)).decode()
        return SignedToken(token, _format_time(now), seconds)

    def jwk(self) -> dict[str, Any]:
        """Return the public key as a JWK (RFC 7517)."""
        return public_jwk(self._key.public_key())


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    """Return a public key as a JWK, with its id, algorithm, and use."""
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    public = ECKey.import_key(pem).as_dict(private=False)
    return {**public, "kid": libtrust_key_id(key), "use": "sig", "alg": "ES256"}


# Cached because all tokens issued within one second have the same ``issued_at``.
@lru_cache(maxsize=2)
def _format_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _encode_base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def libtrust_key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the key id in libtrust format, as Distribution 2.8 computes it (PROTOCOLS 2.2)."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    encoded = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(encoded[start : start + 4] for start in range(0, 48, 4))
