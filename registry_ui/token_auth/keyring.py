"""Files of the keys that sign bearer tokens, and their rotation.

The active key has a certificate. During a rotation, there are also the key and certificate of
its successor (the staged key), and afterward the certificate of its predecessor (the previous
key). ``bundle.pem`` contains all certificates and is the registry's ``rootcertbundle``. The
registry must trust the staged key before tokens are signed with it; otherwise pulls fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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

from ..files import write_private
from .signer import KeyUnusable, SignedToken, Signer, public_jwk

CERTIFICATE_LIFETIME = timedelta(days=3653)
CLOCK_SKEW = timedelta(days=1)
#: How long before a certificate expires administrators are warned.
WARN_BEFORE = timedelta(days=60)
#: Interval in seconds at which the key files are checked for changes.
POLL_INTERVAL = 2.0
#: Number of seconds for which the registry accepts a token after it expires (PROTOCOLS 2.3).
LEEWAY = 60


class RotationRefused(RuntimeError):
    """A rotation step is not possible now, or would break pulls. The message says why."""


def new_key() -> str:
    """Return a new EC P-256 key as PEM, a kind that Distribution 2.8 and 3.x both accept."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def self_signed(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a self-signed certificate for a key as PEM, valid for ten years."""
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


@dataclass(frozen=True, slots=True)
class KeyView:
    """One key of the ring, as shown to administrators.

    Attributes:
        part: ``active``, ``next`` (staged), or ``previous``.
        expires_at: when the certificate of the key expires.
    """

    part: str
    key_id: str
    expires_at: datetime

    @property
    def ends_soon(self) -> bool:
        """Whether the certificate of the key expires within WARN_BEFORE."""
        return self.expires_at - datetime.now(UTC) < WARN_BEFORE


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The files with the signing keys of one installation.

    Args:
        key_file, certificate_file: files of the active key; the other files are in the same
            directory.
    """

    key_file: Path
    certificate_file: Path

    @property
    def next_key_file(self) -> Path:
        """The file of the staged key."""
        return self.key_file.with_name(f"next-{self.key_file.name}")

    @property
    def next_certificate_file(self) -> Path:
        """The file of the staged key's certificate."""
        return self.certificate_file.with_name(f"next-{self.certificate_file.name}")

    @property
    def previous_certificate_file(self) -> Path:
        """The file of the previous key's certificate."""
        return self.certificate_file.with_name(f"previous-{self.certificate_file.name}")

    @property
    def bundle_file(self) -> Path:
        """The file with all certificates that the registry must trust."""
        return self.certificate_file.with_name("bundle.pem")

    @property
    def trusted_file(self) -> Path:
        """The file for the registry's ``rootcertbundle``.

        It is the bundle if there is one, and the certificate of the active key otherwise.
        """
        return self.bundle_file if self.bundle_file.exists() else self.certificate_file

    # -- reading -----------------------------------------------------------------

    def signer(self, issuer: str, service: str, lifetime: int) -> Signer:
        """Return a signer with the active key; raise KeyUnusable if the key can't be used.

        Args:
            issuer, service: ``iss`` and ``aud`` of the tokens.
            lifetime: lifetime of the tokens in seconds.
        """
        try:
            key = self.key_file.read_bytes()
            return Signer(key, self._find_certificate(key), issuer, service, lifetime)
        except (OSError, ValueError) as error:
            raise KeyUnusable(f"no usable signing key at {self.key_file}: {error}") from error

    def next_signer(self, issuer: str, service: str, lifetime: int) -> Signer:
        """Return a signer with the staged key; raise RotationRefused if no key is staged."""
        if not self.is_staged:
            raise RotationRefused("no key is staged: stage one first")
        key, certificate = self.next_key_file, self.next_certificate_file
        return Signer(key.read_bytes(), certificate.read_bytes(), issuer, service, lifetime)

    @property
    def is_staged(self) -> bool:
        """Whether there is a staged key with its certificate."""
        return self.next_key_file.exists() and self.next_certificate_file.exists()

    def views(self) -> list[KeyView]:
        """Return all keys of the ring, the active one first."""
        return [
            KeyView(part, _key_id_from_certificate(certificate), certificate.not_valid_after_utc)
            for part, certificate in self._read_certificates()
        ]

    def jwks(self) -> dict[str, Any]:
        """Return all public keys as a JWK Set (RFC 7517), the active one first."""
        keys = [certificate.public_key() for _, certificate in self._read_certificates()]
        return {
            "keys": [public_jwk(key) for key in keys if isinstance(key, ec.EllipticCurvePublicKey)]
        }

    def fingerprint(self) -> tuple[int, ...]:
        """Return the modification times of the key files, to detect a rotation."""
        active_files = (self.key_file, self.certificate_file)
        other_files = (self.next_certificate_file, self.previous_certificate_file)
        return tuple(_read_modification_time(file) for file in active_files + other_files)

    def _find_certificate(self, key_pem: bytes) -> bytes:
        """Return the certificate of the active key as PEM.

        If activate() was interrupted, it is still in the file of the staged key's certificate.
        """
        key = load_pem_private_key(key_pem, password=None).public_key()
        for file in (self.certificate_file, self.next_certificate_file):
            if file.exists():
                pem = file.read_bytes()
                if x509.load_pem_x509_certificate(pem).public_key() == key:
                    return pem
        raise KeyUnusable(f"the certificate {self.certificate_file} belongs to another key")

    def _read_certificates(self) -> list[tuple[str, x509.Certificate]]:
        parts = (
            ("active", self.certificate_file),
            ("next", self.next_certificate_file),
            ("previous", self.previous_certificate_file),
        )
        certificates: dict[bytes, tuple[str, x509.Certificate]] = {}
        for part, file in parts:
            try:
                pem = file.read_bytes()
            except FileNotFoundError:
                continue
            certificates.setdefault(pem, (part, x509.load_pem_x509_certificate(pem)))
        return list(certificates.values())

    # -- rotating ----------------------------------------------------------------

    def stage(self) -> None:
        """Create the staged key and its certificate, and add the certificate to the bundle.

        Raises:
            RotationRefused: a key is staged already.
        """
        if self.is_staged:
            raise RotationRefused("a key is staged already: activate it")
        pem = new_key()
        key = load_pem_private_key(pem.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - narrows the type
        write_private(self.next_key_file, pem)
        write_private(self.next_certificate_file, self_signed(key))
        self.write_bundle()

    def activate(self) -> None:
        """Make the staged key the active one. The previous key stays trusted until retire().

        If the process dies between the two renames, the certificate of the active key is still
        in the file for the staged one; signer() finds it there.

        Raises:
            RotationRefused: no key is staged.
        """
        if not self.is_staged:
            raise RotationRefused("no key is staged: stage one first")
        write_private(self.previous_certificate_file, self.certificate_file.read_text())
        self.next_key_file.replace(self.key_file)
        self.next_certificate_file.replace(self.certificate_file)
        self.write_bundle()

    def retire(self, lifetime: int, *, force: bool = False) -> None:
        """Delete the previous key's certificate, if all tokens signed with the key have expired.

        Args:
            lifetime: lifetime of the tokens in seconds.
            force: whether to delete it even if tokens signed with the key can still be in use.

        Raises:
            RotationRefused: there is no previous key, or tokens signed with it can still be in use.
        """
        file = self.previous_certificate_file
        if not file.exists():
            raise RotationRefused("there is no previous key to retire")
        remaining = file.stat().st_mtime + lifetime + LEEWAY - time.time()
        if remaining > 0 and not force:
            raise RotationRefused(
                f"tokens of the previous key are in use for another {int(remaining) + 1} seconds"
            )
        file.unlink()
        self.write_bundle()

    def write_bundle(self) -> None:
        """Write all certificates to ``bundle.pem``, the certificate of the active key first."""
        pems = [
            certificate.public_bytes(Encoding.PEM).decode()
            for _, certificate in self._read_certificates()
        ]
        write_private(self.bundle_file, "".join(pems))


class RotatingSigner:
    """Signer that reloads the active key after a rotation, in whichever process that happened.

    If the key files can't be read, the signer continues with the key that it loaded last.

    Args:
        issuer, service: ``iss`` and ``aud`` of the tokens.
        lifetime: lifetime of the tokens in seconds.
    """

    def __init__(
        self,
        ring: KeyRing,
        issuer: str,
        service: str,
        lifetime: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ring, self.issuer, self.service, self.lifetime = ring, issuer, service, lifetime
        self._clock, self._lock = clock, threading.Lock()
        self._fingerprint = ring.fingerprint()
        self._signer = ring.signer(issuer, service, lifetime)
        self._next_check_at = clock() + POLL_INTERVAL

    def sign(
        self, subject: str, access: list[dict[str, Any]], lifetime: int | None = None
    ) -> SignedToken:
        """Sign a token with the active key; see Signer.sign()."""
        return self.current().sign(subject, access, lifetime)

    def current(self) -> Signer:
        """Return the signer with the active key; check for a rotation once per POLL_INTERVAL."""
        if self._clock() >= self._next_check_at and self._lock.acquire(blocking=False):
            try:
                self._reload_if_changed()
            finally:
                self._lock.release()
        return self._signer

    def _reload_if_changed(self) -> None:
        self._next_check_at = self._clock() + POLL_INTERVAL
        fingerprint = self.ring.fingerprint()
        if fingerprint == self._fingerprint:
            return
        try:
            self._signer = self.ring.signer(self.issuer, self.service, self.lifetime)
        except KeyUnusable:
            return
        self._fingerprint = fingerprint


def _key_id_from_certificate(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    return public_jwk(key)["kid"] if isinstance(key, ec.EllipticCurvePublicKey) else ""


def _read_modification_time(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
