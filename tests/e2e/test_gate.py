"""Protected tags behind the gate: nginx, the registry and clients, all for real."""

from __future__ import annotations

import pytest

from tests.support.clients import DockerClient, Skopeo, refused, works, workshop
from tests.support.stack import running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def gated(storage, registry_version, tmp_path_factory):
    """The whole product with the gate in front of the registry."""
    with running(tmp_path_factory.mktemp("gated"), storage, registry_version, gate=True) as made:
        yield made


@pytest.fixture(scope="module")
def shop():
    with workshop() as made:
        yield made


@pytest.fixture
def project(gated):
    """A project with a Developer and a Maintainer, and v* immutable, latest for Maintainers."""
    path = gated.place()
    root = path.partition("/")[0]
    gated.fill.user(f"{root}-maintainer")
    gated.fill.member(path, f"{root}-maintainer", "maintainer")
    gated.fill.rule(path, "v*")
    gated.fill.rule(path, "latest", "maintainer")
    return path


def signed_in(gated, shop, kind, username, *scopes):
    """A client of this kind in which somebody has signed in."""
    client = kind(shop, gated.config.registry_host)
    token = gated.fill.access_token(username, *(scopes or ("write_registry", "delete_registry")))
    works(client.login(username, token))
    return client


def developer(project):
    return project.partition("/")[0] + "-developer"


def maintainer(project):
    return project.partition("/")[0] + "-maintainer"


CLIENTS = pytest.mark.parametrize("kind", [DockerClient, Skopeo], ids=lambda kind: kind.name)


@CLIENTS
def test_an_immutable_tag_is_pushed_once_and_the_client_says_why_not_again(
    gated, shop, project, kind
):
    client = signed_in(gated, shop, kind, developer(project))
    name = f"{gated.config.registry_host}/{project}/web:v1.2"
    client.make(name)
    works(client.push(name))
    client.make(name)
    complaint = refused(client.push(name))
    assert f"denied: tag v1.2 is immutable in {project}/web" in complaint, complaint
