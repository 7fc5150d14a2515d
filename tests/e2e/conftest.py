"""The whole product, running: one for each storage pair and version of the registry."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import registry as registries
from tests.support.browser import Window, chromium, window
from tests.support.clients import Workshop, workshop
from tests.support.stack import Stack, running
from tests.support.storage import Storage


@pytest.fixture(scope="session", params=registries.VERSIONS)
def registry_version(request: pytest.FixtureRequest) -> str:
    """The major version of the registry that runs."""
    return str(request.param)


@pytest.fixture(scope="session")
def stack(
    storage: Storage, registry_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The running product. Tests make places of their own in it."""
    with running(tmp_path_factory.mktemp("stack"), storage, registry_version) as made:
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The one Chromium of all files: starting it takes longer than a test. Each test has windows.

    A window has cookies, a cache and a storage of its own, and is closed by its test.
    """
    with chromium() as made:
        yield made


@pytest.fixture
def visitor(browser: Browser, stack: Stack) -> Iterator[Window]:
    """A window in which nobody has signed in; it may not complain about anything."""
    with window(browser, stack.config.public_url) as made:
        yield made
        assert made.problems == []


@pytest.fixture
def scriptless_visitor(browser: Browser, stack: Stack) -> Iterator[Window]:
    """A window without JavaScript."""
    with window(browser, stack.config.public_url, java_script_enabled=False) as made:
        yield made


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    """Where the clients of a file have their homes."""
    with workshop() as made:
        yield made


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose path is short, as the sockets of clients need it."""
    path = Path(tempfile.mkdtemp(prefix="rui-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def host(stack: Stack) -> str:
    """The host of the registry, as it is in references."""
    return stack.config.registry_host
