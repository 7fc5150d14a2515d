"""A real Distribution with our token auth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config import Config
from registry_ui.distribution.configuration import RegistrySettings, TokenAuth, registry_config

from .processes import Server, free_port, required

#: Debian's 2.8 is always tested. A 3.x binary is tested too where this names one.
BINARY_3 = os.environ.get("REGISTRY_UI_TEST_REGISTRY_3", "")
VERSIONS = ("2.8", "3") if BINARY_3 else ("2.8",)


def binary(version: str) -> str:
    """Return the program of that major version."""
    return BINARY_3 if version == "3" else required("docker-registry", "registry")


@dataclass
class Registry:
    """A running registry: its address, and its process for tests that stop it."""

    version: str
    port: int
    home: Path
    config: Config
    token: str = "no-events-are-sent"
    deletion: bool = True
    #: The address of the registry that this one is a pull-through cache of.
    upstream: str = ""
    #: Whether it takes manifests of schema 1; 2.8 only.
    schema1: bool = False
    read_only: bool = False
    server: Server | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Write its configuration and start it."""
        self.home.mkdir(parents=True, exist_ok=True)
        text = registry_config(
            RegistrySettings(
                address=f"localhost:{self.port}",
                data=self.home / "data",
                http_secret="a secret of the tests",
                auth=TokenAuth(
                    realm=self.config.realm,
                    service=self.config.token_service,
                    issuer=self.config.token_issuer,
                    certificate=self.config.token_certificate_file,
                ),
                events_url=self.config.events_url,
                registry_token=self.token,
            )
        )
        if not self.deletion:
            before = text
            text = text.replace("  delete:\n    enabled: true", "  delete:\n    enabled: false")
            assert text != before
        if self.read_only:
            before = text
            readonly = "  maintenance:\n    readonly:\n      enabled: true\n"
            text = text.replace("  delete:\n", f"{readonly}  delete:\n")
            assert text != before
        if self.schema1:
            text += "compatibility:\n  schema1:\n    enabled: true\n"
        if self.upstream:
            text += f"proxy:\n  remoteurl: {self.upstream}\n"
        (self.home / "config.yml").write_text(text)
        self.server = Server(
            [binary(self.version), "serve", str(self.home / "config.yml")],
            self.home / "registry.log",
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
        self.server.wait_for_port(self.port)

    def forget(self, path: str) -> None:
        """Remove the repositories at or below a path from its storage; the blobs stay."""
        root = self.home / "data" / "docker" / "registry" / "v2" / "repositories"
        shutil.rmtree(root / path, ignore_errors=True)

    def stop(self) -> None:
        """End it; its data stay."""
        if self.server is not None:
            self.server.stop()


@contextmanager
def serving(version: str, home: Path, config: Config, **more: object) -> Iterator[Registry]:
    """A registry that serves, until the end."""
    made = new_registry(version, home, config, **more)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def new_registry(version: str, home: Path, config: Config, **more: object) -> Registry:
    """Return a registry that is not started yet, on a free port."""
    return Registry(version, more.pop("port", None) or free_port(), home, config, **more)  # type: ignore[arg-type]
