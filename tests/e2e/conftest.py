"""The whole product, running: one for each storage pair and version of the registry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import registry as registries
from tests.support.browser import chromium
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
