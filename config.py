"""Settings, read once from the environment. Secrets have no default.

Precedence: the environment, then ``<var>/settings.env`` (which ``make run`` writes so that
``flask`` commands need no settings), then the defaults below. Every name is documented in
docs/configuration.md.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

ROOT = Path(__file__).resolve().parent
PREFIX = "REGISTRY_UI_"


class ConfigError(RuntimeError):
    """A setting is missing or invalid. The message names the setting and the remedy."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file, or an empty dictionary if it does not exist."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one process.

    Durations are in seconds, unless the name ends in ``days``, and sizes in bytes. Secrets are kept
    out of ``repr``.
    """

    var: Path
    secret_key: str = field(repr=False)
    token_key_file: Path
    token_certificate_file: Path
    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    port: int
    registry_port: int
    gate: bool
    registry_backend_port: int
    registry_url: str
    registry_host: str
    registry_is_cache: str
    public_url: str
    admin_username: str
    token_issuer: str
    token_service: str
    token_lifetime: int
    tokens_only: bool
    docker_sessions: bool
    decisions_kept_days: int
    bin_days: int
    move_grace_days: int
    gc_command: tuple[str, ...]
    registry_timeout: float
    reconcile_interval: int
    max_body: int
    trusted_proxies: int
    hsts_seconds: int
    testing: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Read every setting; raise ConfigError for the first invalid one."""
        outer = os.environ if environ is None else environ
        var = Path(outer.get(PREFIX + "VAR") or ROOT / "var")
        if not var.is_absolute():
            var = ROOT / var
        read = _Reader({**read_env_file(var / "settings.env"), **outer})
        port = read.port("PORT", 8080)
        registry_port = read.port("REGISTRY_PORT", 5050)
        gate = read.flag("GATE", default=False)
        backend_port = read.port("REGISTRY_BACKEND_PORT", 5051)
        # Our own calls bypass the gate: it calls this application, which is waiting for the gate.
        own_port = backend_port if gate else registry_port
        registry_url = read.url("REGISTRY_URL", f"http://localhost:{own_port}")
        given = read.text("REGISTRY_URL", "")
        host = urlsplit(registry_url).netloc if given else f"localhost:{registry_port}"
        lifetime = read.integer("TOKEN_LIFETIME", 300)
        if lifetime < 60:
            raise ConfigError(f"{PREFIX}TOKEN_LIFETIME is {lifetime}: clients need 60 or more")
        return cls(
            var=var,
            secret_key=_secret(read, var),
            token_key_file=read.path("TOKEN_KEY_FILE", var / "token" / "key.pem"),
            token_certificate_file=read.path(
                "TOKEN_CERTIFICATE_FILE", var / "token" / "certificate.pem"
            ),
            database_url=normalised_database_url(
                read.database("DATABASE_URL", f"sqlite:///{var / 'registry_ui.sqlite'}")
            ),
            redis_url=read.queue("REDIS_URL"),
            port=port,
            registry_port=registry_port,
            gate=gate,
            registry_backend_port=backend_port,
            registry_url=registry_url,
            registry_host=read.text("REGISTRY_HOST", host),
            registry_is_cache=read.choice("REGISTRY_IS_CACHE", ("auto", "yes", "no")),
            public_url=read.origin("PUBLIC_URL", f"http://localhost:{port}"),
            admin_username=read.text("ADMIN_USERNAME", "admin"),
            token_issuer=read.text("TOKEN_ISSUER", "registry_ui"),
            token_service=read.text("TOKEN_SERVICE", "registry"),
            token_lifetime=lifetime,
            tokens_only=read.flag("TOKENS_ONLY", default=False),
            docker_sessions=read.flag("DOCKER_SESSIONS", default=True),
            decisions_kept_days=read.integer("DECISIONS_KEPT_DAYS", 14),
            bin_days=read.integer("BIN_DAYS", 7),
            move_grace_days=read.integer("MOVE_GRACE_DAYS", 30),
            gc_command=read.collector("GC_COMMAND"),
            registry_timeout=read.number("REGISTRY_TIMEOUT", 2.0),
            reconcile_interval=read.integer("RECONCILE_INTERVAL", 3600),
            max_body=read.integer("MAX_BODY", 1024 * 1024),
            trusted_proxies=read.integer("TRUSTED_PROXIES", 0),
            hsts_seconds=read.integer("HSTS_SECONDS", 365 * 24 * 3600),
        )

    @property
    def events_url(self) -> str:
        """URL to which the registry posts its notifications."""
        return f"{self.public_url}/api/v4/registry_events"

    @property
    def realm(self) -> str:
        """URL of the token endpoint, for ``auth.token.realm`` of the registry."""
        return f"{self.public_url}/jwt/auth"

    @property
    def huey_file(self) -> Path:
        """File of the embedded job queue, which is used if Redis is not configured."""
        return self.var / "jobs.sqlite"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed access to the environment, with the name of the setting in every error message."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.environ.get(PREFIX + name, "").strip() or default

    def path(self, name: str, default: Path) -> Path:
        path = Path(self.text(name, str(default)))
        return path if path.is_absolute() else ROOT / path

    def number(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: a number is needed") from None
        if not 0 < value < 1e9:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: a positive number is needed")
        return value

    def integer(self, name: str, default: int) -> int:
        text = self.text(name, str(default))
        if not text.isascii() or not text.isdigit():
            raise ConfigError(f"{PREFIX}{name} is {text!r}: a whole number is needed")
        return int(text)

    def flag(self, name: str, *, default: bool) -> bool:
        text = self.text(name, "yes" if default else "no").lower()
        if text not in {"yes", "no"}:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: yes or no is needed")
        return text == "yes"

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of the options; the first is the default."""
        text = self.text(name, options[0]).lower()
        if text not in options:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: one of {', '.join(options)} is needed")
        return text

    def port(self, name: str, default: int) -> int:
        value = self.integer(name, default)
        if not 0 < value < 65536:
            raise ConfigError(f"{PREFIX}{name} is {value}: a port is between 1 and 65535")
        return value

    def database(self, name: str, default: str) -> str:
        text = self.text(name, default)
        if not text.startswith(("sqlite:///", "postgres://", "postgresql")) or "://" not in text:
            raise ConfigError(f"{PREFIX}{name} is no address of SQLite or PostgreSQL")
        return text

    def queue(self, name: str) -> str | None:
        text = self.text(name, "")
        known = text.startswith("unix://") or _address(text, "redis", "rediss")
        if text and not known:
            raise ConfigError(f"{PREFIX}{name} is no address of Redis: redis://host:6379/0")
        return text or None

    def collector(self, name: str) -> tuple[str, ...]:
        """Return the words of the garbage collection command; empty if it is not set.

        Raises:
            ConfigError: it can't be parsed, or has the ``--delete-untagged`` option.
        """
        try:
            words = tuple(shlex.split(self.text(name, "")))
        except ValueError as error:
            raise ConfigError(f"{PREFIX}{name} can't be read as a command: {error}") from None
        said = [part for word in words for part in word.split()]
        _, _, options = " ".join(said).partition(" garbage-collect ")
        if "--delete-untagged" in " ".join(said) or _UNTAGGED.search(f" {options} "):
            raise ConfigError(
                f"{PREFIX}{name} has --delete-untagged: it breaks multi-platform images on 2.8, "
                "and signatures on any version; leave it out"
            )
        return words

    def url(self, name: str, default: str) -> str:
        text = self.text(name, default).rstrip("/")
        if _address(text, "http", "https") is None:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: an http or https address is needed")
        return text

    def origin(self, name: str, default: str) -> str:
        """Return a URL without a path, because pages and endpoints are served only at the root."""
        text = self.url(name, default)
        parts = urlsplit(text)
        if parts.path or parts.query or parts.fragment:
            root = f"{parts.scheme}://{parts.netloc}"
            raise ConfigError(
                f"{PREFIX}{name} is {text!r}: an address with a path can't be served; "
                f"use a host name of its own, such as {root}"
            )
        return text


#: Short form ``-m`` of ``--delete-untagged``, alone or combined with other options.
_UNTAGGED = re.compile(r" -[a-z]*m[a-z]*[ =]")


def _address(text: str, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL with one of these schemes; return None for any other text."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        return None
    return parts if usable else None


def _secret(read: _Reader, var: Path) -> str:
    """Return the secret key from the environment or from ``<var>/secret_key``."""
    value = read.text("SECRET_KEY", "")
    file = var / "secret_key"
    if not value and file.is_file():
        value = file.read_text().strip()
    if len(value) < 32:
        raise ConfigError(
            f"no secret key of 32 characters or more: set {PREFIX}SECRET_KEY, "
            f"or let `make run` write {file}"
        )
    return value


def normalised_database_url(url: str) -> str:
    """Return a database URL, with the psycopg 3 driver added to a plain PostgreSQL URL."""
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url
