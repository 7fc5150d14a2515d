"""The secrets of an installation, made once and never overwritten."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from . import LaunchError
from .files import private_directory, write_private_once

CERTIFICATE_LIFETIME = timedelta(days=3653)
CLOCK_SKEW = timedelta(days=1)


def ensure_secret_key(file: Path) -> None:
    """Write a random secret key unless there is one."""
    if not file.exists():
        write_private_once(file, secrets.token_urlsafe(48) + "\n")


def ensure_signing_key(key_file: Path, certificate_file: Path) -> None:
    """Make the key that signs bearer tokens and the certificate that the registry trusts.

    Raises:
        LaunchError: only the certificate is there, or it belongs to another key.
    """
    if certificate_file.exists() and not key_file.exists():
        raise LaunchError(f"{certificate_file} is there, but its key {key_file} is not")
    for file in (key_file, certificate_file):
        if not file.parent.is_dir():
            private_directory(file.parent)
    if not key_file.exists():
        write_private_once(key_file, _new_key())
    key = _load_key(key_file)
    if not certificate_file.exists():
        write_private_once(certificate_file, _self_signed(key))
    _require_pair(key, certificate_file)


def derived_secret(secret_key: str, purpose: str) -> str:
    """Return the secret for one purpose: always the same, and it tells nothing of the key."""
    return hmac.new(secret_key.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _new_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise LaunchError(f"{file} cannot be read as a private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise LaunchError(f"{file} is not an EC key on P-256")
    return key


def _self_signed(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry_ui bearer tokens")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + CERTIFICATE_LIFETIME)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


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
