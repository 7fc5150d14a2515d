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
from typing import Self
from urllib.parse import SplitResult, urlsplit

ROOT = Path(__file__).resolve().parent
PREFIX = "REGISTRY_UI_"
#: Maps the old name of each renamed setting to the current name. Old names still work.
RENAMED_SETTINGS = {"BIN_DAYS": "TRASH_DAYS"}


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
    trash_days: int
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
        read = _Reader.from_environ(os.environ if environ is None else environ)
        var, keys = read.var, read.var / "token"
        addresses = _Addresses.from_reader(read)
        token_lifetime = read.lifetime("TOKEN_LIFETIME", 300)
        return cls(
            var=var,
            secret_key=_read_secret_key(read, var),
            token_key_file=read.path("TOKEN_KEY_FILE", keys / "key.pem"),
            token_certificate_file=read.path("TOKEN_CERTIFICATE_FILE", keys / "certificate.pem"),
            database_url=read.database("DATABASE_URL", f"sqlite:///{var / 'registry_ui.sqlite'}"),
            redis_url=read.queue("REDIS_URL"),
            port=addresses.port,
            registry_port=addresses.registry_port,
            gate=addresses.gate,
            registry_backend_port=addresses.registry_backend_port,
            registry_url=addresses.registry_url,
            registry_host=addresses.registry_host,
            registry_is_cache=read.choice("REGISTRY_IS_CACHE", ("auto", "yes", "no")),
            public_url=read.origin("PUBLIC_URL", f"http://localhost:{addresses.port}"),
            admin_username=read.text("ADMIN_USERNAME", "admin"),
            token_issuer=read.text("TOKEN_ISSUER", "registry_ui"),
            token_service=read.text("TOKEN_SERVICE", "registry"),
            token_lifetime=token_lifetime,
            tokens_only=read.flag("TOKENS_ONLY", default=False),
            docker_sessions=read.flag("DOCKER_SESSIONS", default=True),
            decisions_kept_days=read.integer("DECISIONS_KEPT_DAYS", 14),
            trash_days=read.integer("TRASH_DAYS", 7),
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
    var: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Return a reader of the environment, with ``<var>/settings.env`` as the fallback."""
        var = Path(environ.get(PREFIX + "VAR") or ROOT / "var")
        if not var.is_absolute():
            var = ROOT / var
        saved_settings = _use_current_names(read_env_file(var / "settings.env"))
        return cls(saved_settings | _use_current_names(environ), var)

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

    def lifetime(self, name: str, default: int) -> int:
        seconds = self.integer(name, default)
        if seconds < 60:
            raise ConfigError(f"{PREFIX}{name} is {seconds}: clients need 60 or more")
        return seconds

    def flag(self, name: str, *, default: bool) -> bool:
        text = self.text(name, "yes" if default else "no").lower()
        if text not in {"yes", "no"}:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: yes or no is needed")
        return text == "yes"

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of the options, by default the first; raise ConfigError for other text."""
        text = self.text(name, options[0]).lower()
        if text not in options:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: one of {', '.join(options)} is needed")
        return text

    def port(self, name: str, default: int) -> int:
        """Return a port number; raise ConfigError if it can't be one."""
        value = self.integer(name, default)
        if not 0 < value < 65536:
            raise ConfigError(f"{PREFIX}{name} is {value}: a port is between 1 and 65535")
        return value

    def database(self, name: str, default: str) -> str:
        """Return a database URL for SQLAlchemy; raise ConfigError for other databases."""
        text = self.text(name, default)
        if not text.startswith(("sqlite:///", "postgres://", "postgresql")) or "://" not in text:
            raise ConfigError(f"{PREFIX}{name} is no address of SQLite or PostgreSQL")
        return normalized_database_url(text)

    def queue(self, name: str) -> str | None:
        """Return the URL of Redis, None if it is not set; raise ConfigError for other addresses."""
        text = self.text(name, "")
        is_valid = text.startswith("unix://") or _parse_url(text, "redis", "rediss")
        if text and not is_valid:
            raise ConfigError(f"{PREFIX}{name} is no address of Redis: redis://host:6379/0")
        return text or None

    def collector(self, name: str) -> tuple[str, ...]:
        """Return the words of the garbage collection command; empty if it is not set.

        Raises:
            ConfigError: the command can't be parsed, or has the ``--delete-untagged`` option.
        """
        try:
            arguments = tuple(shlex.split(self.text(name, "")))
        except ValueError as error:
            raise ConfigError(f"{PREFIX}{name} can't be read as a command: {error}") from None
        parts = [part for word in arguments for part in word.split()]
        _, _, options = " ".join(parts).partition(" garbage-collect ")
        if "--delete-untagged" in " ".join(parts) or _DELETE_UNTAGGED_OPTION.search(f" {options} "):
            raise ConfigError(
                f"{PREFIX}{name} has --delete-untagged: it breaks multi-platform images on 2.8, "
                "and signatures on any version; leave it out"
            )
        return arguments

    def url(self, name: str, default: str) -> str:
        """Return a URL without its last slashes; raise ConfigError if it is not http or https."""
        text = self.text(name, default).rstrip("/")
        if _parse_url(text, "http", "https") is None:
            raise ConfigError(f"{PREFIX}{name} is {text!r}: an http or https address is needed")
        return text

    def origin(self, name: str, default: str) -> str:
        """Return a URL without a path, because pages and endpoints are served only at the root.

        Raises:
            ConfigError: the text is no URL, or the URL has a path.
        """
        text = self.url(name, default)
        parts = urlsplit(text)
        if parts.path or parts.query or parts.fragment:
            root = f"{parts.scheme}://{parts.netloc}"
            raise ConfigError(
                f"{PREFIX}{name} is {text!r}: an address with a path can't be served; "
                f"use a host name of its own, such as {root}"
            )
        return text


@dataclass(frozen=True, slots=True)
class _Addresses:
    """Ports and URLs of this application and of the registry."""

    port: int
    registry_port: int
    gate: bool
    registry_backend_port: int
    registry_url: str
    registry_host: str

    @classmethod
    def from_reader(cls, read: _Reader) -> Self:
        port = read.port("PORT", 8080)
        registry_port = read.port("REGISTRY_PORT", 5050)
        gate = read.flag("GATE", default=False)
        backend_port = read.port("REGISTRY_BACKEND_PORT", 5051)
        # Our own calls bypass the proxy, which would ask this application (the gate) first.
        own_port = backend_port if gate else registry_port
        registry_url = read.url("REGISTRY_URL", f"http://localhost:{own_port}")
        has_url = bool(read.text("REGISTRY_URL", ""))
        host = urlsplit(registry_url).netloc if has_url else f"localhost:{registry_port}"
        return cls(
            port=port,
            registry_port=registry_port,
            gate=gate,
            registry_backend_port=backend_port,
            registry_url=registry_url,
            registry_host=read.text("REGISTRY_HOST", host),
        )


def _use_current_names(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with each old name in RENAMED_SETTINGS replaced by the current name.

    Raises:
        ConfigError: a setting has different values under its old and its current name.
    """
    result = dict(settings)
    for old, current in ((PREFIX + a, PREFIX + b) for a, b in RENAMED_SETTINGS.items()):
        value, old_value = result.get(current, "").strip(), result.pop(old, "").strip()
        if value and old_value and value != old_value:
            raise ConfigError(
                f"{current} is {value!r}, but {old}, its old name, is {old_value!r}: remove {old}"
            )
        if old in settings:
            result[current] = value or old_value
    return result


#: Short form ``-m`` of ``--delete-untagged``, alone or combined with other options.
_DELETE_UNTAGGED_OPTION = re.compile(r" -[a-z]*m[a-z]*[ =]")


def _parse_url(text: str, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL with one of these schemes; return None for any other text."""
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in schemes and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        return None
    return parts if is_valid else None


def _read_secret_key(read: _Reader, var: Path) -> str:
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


def normalized_database_url(url: str) -> str:
    """Return a database URL, with the psycopg 3 driver added to a plain PostgreSQL URL."""
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url
