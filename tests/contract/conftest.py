"""What the contract tests share: sites whose registry is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from config import Config
from registry_ui.distribution.client import RegistryClient
from registry_ui.operations import write_freeze
from tests.contract.mover import GRACE, LIFETIME, Mover
from tests.support import registry as registries
from tests.support.hostile_storage import HostileStorage
from tests.support.live import LiveSite, Pusher, signer_of
from tests.support.market import Market, open_market

#: Many times what a call takes: a busy machine is not what these tests are about.
PATIENCE = 60.0


def app_of(make_app: Callable[..., Flask], registry: registries.Registry) -> Flask:
    """Return an application with this registry behind it."""
    return make_app(
        registry_url=registry.url,
        registry_host=f"localhost:{registry.port}",
        registry_timeout=PATIENCE,
    )


@pytest.fixture
def registry_app(make_app: Callable[..., Flask], live_registry: registries.Registry) -> Flask:
    """An application with the shared registry. No context is open: each request has its own."""
    return app_of(make_app, live_registry)


@pytest.fixture
def site(registry_app: Flask, live_registry: registries.Registry) -> Iterator[LiveSite]:
    """A site without anything, and the shared registry."""
    made = LiveSite(registry_app, live_registry)
    made.pusher.mounts = True
    yield made
    # A registry that grew with each test would make each check of all repositories longer.
    live_registry.forget(made.root)


@pytest.fixture
def shop(site: LiveSite) -> LiveSite:
    """A site with one private project and its maintainer."""
    site.open_shop()
    return site


@pytest.fixture(params=registries.VERSIONS)
def own_registry(
    request: pytest.FixtureRequest, tmp_path: Path, base_config: Config
) -> Iterator[registries.Registry]:
    """A registry that the test may stop, empty or configure anew."""
    with registries.serving(request.param, tmp_path / "registry", base_config) as made:
        yield made


@pytest.fixture(scope="module", params=registries.VERSIONS)
def schema1_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[registries.Registry]:
    """A registry that takes schema 1, if it is a 2.8."""
    home = tmp_path_factory.mktemp("registry")
    version = request.param
    with registries.serving(version, home, base_config, schema1=version == "2.8") as made:
        yield made


@pytest.fixture
def old_registry(tmp_path: Path, base_config: Config) -> Iterator[registries.Registry]:
    """A registry 2.8 that takes schema 1. 3.x does not know it."""
    with registries.serving("2.8", tmp_path / "registry", base_config, schema1=True) as made:
        yield made


@pytest.fixture
def own_site(make_app: Callable[..., Flask], own_registry: registries.Registry) -> LiveSite:
    """A site with one project and a registry of its own."""
    made = LiveSite(app_of(make_app, own_registry), own_registry)
    made.open_shop()
    return made


@pytest.fixture(scope="session")
def hostile(
    tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[HostileStorage]:
    """Repositories with something odd in them, pushed once to a registry that accepts them."""
    home = tmp_path_factory.mktemp("hostile")
    with registries.serving("2.8", home, base_config, schema1=True) as source:
        yield HostileStorage(source, Pusher(source.url, signer_of(base_config)))


@pytest.fixture
def pusher(live_registry: registries.Registry, base_config: Config) -> Pusher:
    """Someone who may push anywhere in the shared registry."""
    return Pusher(live_registry.url, signer_of(base_config))


def client_of(
    registry: registries.Registry, config: Config, timeout: float = PATIENCE
) -> RegistryClient:
    """Return the application's own client, without the application."""
    signer = signer_of(config)

    def bearer(
        repository: str | None, actions: tuple[str, ...], mounted_from: str | None = None
    ) -> str:
        kind, name = ("repository", repository) if repository else ("registry", "catalog")
        access = [{"type": kind, "name": name, "actions": list(actions)}] if actions else []
        if mounted_from:
            access.append({"type": "repository", "name": mounted_from, "actions": ["pull"]})
        return signer.sign("-/registry_ui", access).token

    return RegistryClient(registry.url, bearer, timeout)


@pytest.fixture
def registry_client(live_registry: registries.Registry, base_config: Config) -> RegistryClient:
    """The client, with the shared registry."""
    return client_of(live_registry, base_config)


@pytest.fixture
def mover(
    make_app: Callable[..., Flask],
    live_registry: registries.Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Mover]:
    """A site with a project that can move: bearer tokens end soon there."""
    monkeypatch.setattr(write_freeze, "GRACE", GRACE)
    app = make_app(
        registry_url=live_registry.url,
        registry_host=f"localhost:{live_registry.port}",
        registry_timeout=PATIENCE,
        token_lifetime=LIFETIME,
    )
    made = Mover(app, live_registry)
    made.pusher.mounts = True
    made.open()
    yield made
    live_registry.forget(made.root)


@pytest.fixture
def market(shop: LiveSite) -> Market:
    """A shop with tags of every kind to copy, and a stall to copy them to."""
    return open_market(shop)
