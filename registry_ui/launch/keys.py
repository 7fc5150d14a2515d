"""The secret key and the signing key of an installation: created once and never overwritten."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from registry_ui.token_auth.keyring import KeyRing, new_key, self_signed

from ..files import private_directory, write_private_once
from . import LaunchError


def ensure_secret_key(file: Path) -> None:
    """Write a random secret key (of Flask) to the file, unless the file exists."""
    if not file.exists():
        write_private_once(file, secrets.token_urlsafe(48) + "\n")


def ensure_signing_key(key_file: Path, certificate_file: Path) -> None:
    """Create the key that signs bearer tokens, and its certificate, if they are missing.

    If the directories of both files are writable, also create the next key for a later rotation,
    and write the bundle of certificates that the registry trusts.

    Raises:
        LaunchError: a file can't be read as a key or a certificate, or the certificate has no key,
            does not match the key, or has expired.
    """
    if certificate_file.exists() and not key_file.exists():
        raise LaunchError(f"{certificate_file} is there, but its key {key_file} is not")
    for file in (key_file, certificate_file):
        if not file.parent.is_dir():
            private_directory(file.parent)
    if not key_file.exists():
        write_private_once(key_file, new_key())
    key = _load_key(key_file)
    if not certificate_file.exists():
        write_private_once(certificate_file, self_signed(key))
    _require_pair(key, certificate_file)
    if os.access(certificate_file.parent, os.W_OK) and os.access(key_file.parent, os.W_OK):
        ring = KeyRing(key_file, certificate_file)
        if not ring.is_staged:
            # The registry reads the certificates only when it starts. If the next key is staged
            # now, a later rotation needs no restart.
            ring.stage()
        ring.write_bundle()


def derived_secret(secret_key: str, purpose: str) -> str:
    """Derive the secret for one purpose from the secret key.

    The result is the same for equal arguments, and does not reveal the secret key.
    """
    return hmac.new(secret_key.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise LaunchError(f"{file} cannot be read as a private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise LaunchError(f"{file} is not an EC key on P-256")
    return key


def _require_pair(key: ec.EllipticCurvePrivateKey, certificate_file: Path) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except ValueError as error:
        raise LaunchError(f"{certificate_file} cannot be read as a certificate: {error}") from None
    if certificate.public_key() != key.public_key():
        raise LaunchError(
            f"{certificate_file} belongs to another key: the registry would refuse all"
        )
    if certificate.not_valid_after_utc < datetime.now(UTC):
        raise LaunchError(f"{certificate_file} has expired: remove it, and a new one is made")
