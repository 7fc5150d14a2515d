"""What the unit tests share: a registry that lies, and our client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_ui.accounts.secrets import hash_password
from registry_ui.distribution.client import RegistryClient
from registry_ui.launch.keys import ensure_signing_key
from registry_ui.token_auth.keyring import KeyRing
from tests.unit.hostile_registry import (
    BEARER,
    PATIENCE,
    HostileRegistry,
    always,
    hostile_registry,
)


@pytest.fixture(scope="module")
def _server() -> Iterator[HostileRegistry]:
    with hostile_registry() as made:
        yield made


@pytest.fixture
def hostile(_server: HostileRegistry) -> HostileRegistry:
    """The server, forgetting what it was asked and told before."""
    _server.asked.clear()
    _server.answer = always(404, {"errors": [{"code": "NAME_UNKNOWN"}]})
    return _server


@pytest.fixture
def minted() -> list[tuple[str | None, tuple[str, ...]]]:
    """What bearer tokens were minted for."""
    return []


@pytest.fixture
def asker(hostile: HostileRegistry, minted: list[object]) -> RegistryClient:
    """Our client, with the hostile registry as its own."""

    def mint(repository: str | None, actions: tuple[str, ...]) -> str:
        minted.append((repository, actions))
        return BEARER

    return RegistryClient(hostile.url, mint, PATIENCE)


@pytest.fixture(scope="module")
def hashed() -> str:
    """The hash of the password "correct horse"."""
    return hash_password("correct horse")


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """A ring as `make run` leaves it: the next key is staged ahead."""
    ensure_signing_key(tmp_path / "key.pem", tmp_path / "certificate.pem")
    return KeyRing(tmp_path / "key.pem", tmp_path / "certificate.pem")
