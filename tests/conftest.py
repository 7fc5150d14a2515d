"""What all tests share: settings, storage pairs, the application, a real registry."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings

from config import Config, normalized_database_url
from registry_ui.accounts import secrets
from registry_ui.accounts import service as accounts
from registry_ui.audit import Actor
from registry_ui.catalog import live_tags
from registry_ui.copies import copier
from registry_ui.db.session import db, writing
from registry_ui.distribution import transport
from registry_ui.manifests import store
from registry_ui.models import REGISTRY_READ, Heartbeat, User, utc_now
from registry_ui.moves import runner
from registry_ui.operations import lease
from tests.support import registry as registries
from tests.support import storage as storages
from tests.support.compiled import make_application
from tests.support.processes import UNPACKED
from tests.support.temporary_files import keep_files_in_memory

pytest_plugins = (
    "tests.support.missing_programs",
    "tests.support.schedule",
    "tests.support.statements",
)

keep_files_in_memory()

# For what tests start, such as `make run-gate`.
os.environ["PATH"] += f"{os.pathsep}{UNPACKED}"

ACTOR = Actor("-/test")
PASSWORD = "correct horse battery"

# A password hash that is expensive enough for production would take a tenth of the test run.
# Whether it is expensive enough is the subject of test_secrets.py.
secrets._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)

# A fault that a test injects stays: there is nothing to wait for before the next attempt.
transport.PAUSES = (0.0, 0.01, 0.02)
live_tags.PAUSES = store.PAUSES = (0.01, 0.05)
copier.PAUSES = (0.01, 0.05, 0.0)
lease.FIRST_PAUSE = runner.POLL_INTERVAL = 0.02

# How long an example takes says more about the machine than about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("lean", settings.get_profile("busy"), max_examples=25)

# Registries and clients are short-lived Go programs: their memory need not be collected so often.
os.environ.setdefault("GOGC", "800")


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples a property is tried on."""
    settings.load_profile("lean" if config.getoption("lean") else "busy")


def pytest_collection_finish() -> None:
    """Keep the collector of cycles away from what lives until the end: modules and tests.

    With eight thousand tests in memory, it takes a twentieth of the run otherwise.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def base_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Settings with real keys, made once; no server behind the addresses."""
    return storages.template(tmp_path_factory.mktemp("var"))


@pytest.fixture(scope="session")
def prepared_storage(
    tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[Callable[[str], storages.Storage]]:
    """Return a function that gives a storage pair, whose servers run until the end.

    A parametrized fixture would end them whenever a test of the other pair comes: once a file.
    """
    with ExitStack() as stack:

        @cache
        def prepare(name: str) -> storages.Storage:
            home = tmp_path_factory.mktemp(name)
            return stack.enter_context(storages.prepared(name, home, base_config))

        yield prepare


@pytest.fixture(scope="session", params=storages.PAIRS)
def storage(
    request: pytest.FixtureRequest, prepared_storage: Callable[[str], storages.Storage]
) -> storages.Storage:
    """One of the two storage pairs, its servers running."""
    return prepared_storage(request.param)


@pytest.fixture(scope="session", params=registries.VERSIONS)
def live_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[registries.Registry]:
    """A real registry that trusts our key. Its events go nowhere: tests apply their own."""
    home = tmp_path_factory.mktemp(f"registry{request.param}")
    with registries.serving(request.param, home, base_config) as made:
        yield made


@pytest.fixture
def make_app(
    storage: storages.Storage, tmp_path: Path, base_config: Config
) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an application on an empty database of its own."""
    made: list[Flask] = []

    def make(**changes: object) -> Flask:
        url, redis = storage.new_database(tmp_path)
        config = replace(
            base_config,
            database_url=normalized_database_url(url),
            redis_url=redis,
            **changes,  # type: ignore[arg-type]
        )
        app = make_application(config)
        made.append(app)
        with app.app_context(), writing() as session:
            session.add(Heartbeat(name=REGISTRY_READ, at=utc_now()))
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
        app.extensions["registry_threads"].shutdown(wait=False)
        storage.give_back(app.config["SQLALCHEMY_DATABASE_URI"])


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    """An application whose registry does not answer; jobs run at once."""
    made = make_app()
    with made.app_context():
        yield made


@pytest.fixture
def registry_app(
    make_app: Callable[..., Flask], live_registry: registries.Registry
) -> Iterator[Flask]:
    """An application with a real registry behind it."""
    made = make_app(registry_url=live_registry.url, registry_host=f"localhost:{live_registry.port}")
    with made.app_context():
        yield made


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser that nobody has signed in with. CSRF is on, as everywhere."""
    return app.test_client()


@pytest.fixture
def make_user(app: Flask) -> Callable[..., User]:
    """Return a function that makes an account with the tests' password."""

    def make(username: str, *, is_admin: bool = False) -> User:
        return accounts.create_user(ACTOR, username, PASSWORD, is_admin=is_admin)

    return make
