"""Verify a bearer token with nothing but its form: no library that the product signs with."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


def unpadded(text: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key_of(jwk: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a JWK."""
    x, y = (int.from_bytes(unpadded(jwk[name])) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def header_of(token: str) -> dict[str, Any]:
    """The header, not verified."""
    return dict(json.loads(unpadded(token.split(".", maxsplit=1)[0])))


def verified(token: str, key: ec.EllipticCurvePublicKey) -> dict[str, Any] | None:
    """The claims, if the ES256 signature (raw r and s, RFC 7518 3.4) is the key's; else None."""
    signed, _, signature = token.rpartition(".")
    raw = unpadded(signature)
    if len(raw) != 64:
        return None
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    try:
        key.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return None
    return dict(json.loads(unpadded(signed.split(".")[1])))
