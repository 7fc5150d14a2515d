"""Bearer tokens made by hand, honest and forged: no library that the product signs with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from config import Config

HOUR = timedelta(hours=1)


def encoded(data: bytes) -> str:
    """Base64 as in a JWT."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Key:
    """A P-256 key with a certificate of its own."""

    private: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def of(cls, config: Config) -> Key:
        """The key that the registries of the tests trust."""
        private = load_pem_private_key(config.token_key_file.read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        certificate = x509.load_pem_x509_certificate(config.token_certificate_file.read_bytes())
        return cls(private, certificate)

    @classmethod
    def new(cls, lifetime: timedelta = HOUR) -> Key:
        """Another key, self-signed in the same name. A negative lifetime is over."""
        private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry_ui bearer tokens")]
        )
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 24 * HOUR)
            .not_valid_after(now + lifetime)
            .sign(private, hashes.SHA256())
        )
        return cls(private, certificate)

    @property
    def pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def x5c(self) -> str:
        return base64.b64encode(self.certificate_der).decode()

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        x, y = (encoded(part.to_bytes(32)) for part in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    @property
    def libtrust_id(self) -> str:
        """PROTOCOLS 2.2, for 2.8."""
        public = self.private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
        return ":".join(text[start : start + 4] for start in range(0, 48, 4))

    @property
    def thumbprint(self) -> str:
        """RFC 7638, for 3.x."""
        members = {name: self.jwk[name] for name in ("crv", "kty", "x", "y")}
        return encoded(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())

    @property
    def has_leading_zero(self) -> bool:
        """One key in 128: 3.x computes another thumbprint for it (PROTOCOLS 2.3)."""
        return any(base64.urlsafe_b64decode(self.jwk[name] + "=")[0] == 0 for name in ("x", "y"))

    def sign(self, signed: bytes, *, der: bool = False) -> bytes:
        signature = self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
        if der:
            return signature
        r, s = decode_dss_signature(signature)
        return r.to_bytes(32) + s.to_bytes(32)


@dataclass
class Forge:
    """Makes tokens that are right in everything but what a test changes.

    ``without`` names claims or members of the header that are left out.
    """

    key: Key
    claims: dict[str, Any] = field(default_factory=dict)

    def token(
        self,
        claims: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        without: tuple[str, ...] = (),
        signed_by: Key | str | None = None,
    ) -> str:
        """Return a token. ``signed_by``: another key, or ``none``, ``der``, or an HMAC's secret."""
        now = int(time.time())
        times = {"exp": now + 300, "nbf": now - 10, "iat": now, "jti": "a", "sub": "forger"}
        body = {**self.claims, **times, **(claims or {})}
        head = {"typ": "JWT", "alg": "ES256", "x5c": [self.key.x5c], **(header or {})}
        for name in without:
            body.pop(name, None)
            head.pop(name, None)
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{encoded(self._signature(signed.encode(), signed_by))}"

    def _signature(self, signed: bytes, signed_by: Key | str | None) -> bytes:
        if isinstance(signed_by, Key):
            return signed_by.sign(signed)
        if signed_by == "none":
            return b""
        if signed_by in {None, "der"}:
            return self.key.sign(signed, der=signed_by == "der")
        secret = self.key.certificate_pem if signed_by == "pem" else self.key.certificate_der
        return hmac.new(secret, signed, hashlib.sha256).digest()
