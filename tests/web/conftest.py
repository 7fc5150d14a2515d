"""What the web tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask import Flask

from config import Config, normalized_database_url
from registry_ui.db.session import db
from tests.support.attestations import AttestedGraph, add_readers, attest
from tests.support.comparison import fill_two_projects
from tests.support.compiled import make_application
from tests.support.gate_requests import holds
from tests.support.moves import fill_acme
from tests.support.route_rights import (
    add_deploy_tokens,
    add_protection_rules,
    add_retention_policies,
)
from tests.support.storage import Storage
from tests.support.unassigned import with_people
from tests.unit.hostile_registry import PATIENCE, HostileRegistry, hostile_registry
from tests.web.support import ROLES, VISIBILITIES, Site


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application without an open context: every request has its own, as when served.

    In a context that outlives the request, ``g`` would hand the signed-in user of one
    browser to the next.
    """
    return make_app()


@pytest.fixture
def site(app: Flask) -> Site:
    """The site, empty, with a registry that does not answer."""
    return Site(app)


@contextmanager
def site_on(
    storage: Storage, factory: pytest.TempPathFactory, config: Config, name: str
) -> Iterator[Site]:
    """A site that outlives one test."""
    url, redis = storage.new_database(factory.mktemp(name))
    url = normalized_database_url(url)
    app = make_application(replace(config, database_url=url, redis_url=redis))
    yield Site(app)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    app.extensions["registry_threads"].shutdown(wait=False)


@pytest.fixture(scope="module")
def shared_site(
    storage: Storage, tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[Site]:
    """One site for all tests of a module that do not get into each other's way."""
    with site_on(storage, tmp_path_factory, base_config, "shared") as made:
        yield made


@pytest.fixture(scope="module")
def _served(
    storage: Storage, tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[tuple[Site, HostileRegistry]]:
    with hostile_registry() as registry:
        config = replace(base_config, registry_url=registry.url, registry_timeout=PATIENCE)
        with site_on(storage, tmp_path_factory, config, "served") as made:
            yield made, registry


@pytest.fixture
def registry(_served: tuple[Site, HostileRegistry]) -> HostileRegistry:
    """A registry that answers what the test says; asked nothing yet."""
    found = _served[1]
    found.asked.clear()
    found.released.clear()
    return found


@pytest.fixture
def served(_served: tuple[Site, HostileRegistry], registry: HostileRegistry) -> Site:
    """The site, empty, in front of that registry."""
    assert registry is _served[1]
    _served[0].empty()
    return _served[0]


@pytest.fixture(scope="module")
def world(
    storage: Storage, tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[Site]:
    """A site for tables: acme with a user of each role and a project of each visibility.

    Each project has a root image and ``web/api``. In ``veiled`` is what only
    administrators see.
    """
    with site_on(storage, tmp_path_factory, base_config, "world") as made:
        made.user("admin", admin=True)
        made.users("stranger", *ROLES)
        for path in (*(f"acme/{visibility}" for visibility in VISIBILITIES), "veiled/private"):
            made.project(path, path.rpartition("/")[2])
            made.image(path, "v1")
            made.image(f"{path}/web/api", "v1", "v2", digests="ab")
        for role in ROLES:
            made.member("acme", role, role)
        for visibility in VISIBILITIES:
            made.member(f"acme/{visibility}", "guest", "guest")
        yield made


@pytest.fixture(scope="module")
def tokens(world: Site) -> dict[str, int]:
    """The number of a deploy token of each place."""
    return add_deploy_tokens(world)


@pytest.fixture(scope="module")
def policies(world: Site) -> dict[str, int]:
    """The number of a retention policy of each place."""
    return add_retention_policies(world)


@pytest.fixture(scope="module")
def protection_rules(world: Site) -> dict[str, int]:
    """The number of a protection rule in each project."""
    return add_protection_rules(world)


@pytest.fixture
def graph(registry: HostileRegistry) -> AttestedGraph:
    """A registry in memory, which deletes by tag, as 3.x does."""
    made = AttestedGraph(by_tag=True)
    registry.answer = made
    return made


@pytest.fixture
def gated_site(served: Site, registry: HostileRegistry) -> Site:
    """A project whose v* are immutable and whose latest is for Maintainers; nothing was pushed."""
    served.users("dev", "maintainer", "owner", "stranger")
    served.user("admin", admin=True)
    served.project("acme/app")
    for name, role in (("dev", "developer"), ("maintainer", "maintainer"), ("owner", "owner")):
        served.member("acme/app", name, role)
    served.rule("acme/app", "v*")
    served.rule("acme/app", "latest", "maintainer")
    served.project("acme/free")
    holds(registry, {})
    return served


@pytest.fixture
def populated_site(site: Site) -> Site:
    """The site with an administrator, a user, and one project."""
    return with_people(site)


@pytest.fixture
def two_groups(site: Site) -> Site:
    """A group with an owner, and another one in which they may do nothing."""
    return fill_acme(site)


@pytest.fixture
def two_projects(served: Site, registry: HostileRegistry) -> Site:
    """acme/app with 1.0 and 2.0, and other/tool with 1.0; a user of each role in acme."""
    return fill_two_projects(served, registry)


@pytest.fixture
def reader_site(served: Site, graph: AttestedGraph) -> Site:
    """A project with a Reporter and a Guest, in front of the registry in memory."""
    return add_readers(served)


@pytest.fixture
def attested_site(reader_site: Site, graph: AttestedGraph) -> Site:
    """The same with v1, which has an SBOM and a provenance."""
    return attest(reader_site, graph)
