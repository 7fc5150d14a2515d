"""Every image of an adopted plain registry can be pulled by real clients under its old name."""

from __future__ import annotations

import pytest

from registry_ui.models import ContainerImage, UnassignedRepository
from tests.support.clients import DockerClient, Skopeo, works, workshop
from tests.support.live import tiny
from tests.support.stack import ADMIN, running
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

OLD = ["nginx", "library/redis", "quay.io/org/app", "docker.io/library/nginx", "team", "team/app/x"]


@pytest.fixture
def plain(storage, tmp_path):
    """A running product, before a registry with names as plain registries have them."""
    with running(tmp_path, storage, "2.8") as stack:
        pusher = stack.client(ADMIN)
        for number, repository in enumerate(OLD):
            pusher.push(repository, {"1.0": tiny(f"old{number}")})
        stack.until(lambda: len(stack.fill.rows(UnassignedRepository)) == len(OLD), 60)
        stack.fill.user("jane.doe")
        yield stack


def test_every_image_is_pulled_by_its_old_name_after_one_confirmation(plain):
    address = "/-/admin/unassigned/adopt"
    references = [f"{plain.config.registry_host}/{name}:1.0" for name in OLD]
    with workshop() as tools:
        clients = [kind(tools, plain.config.registry_host) for kind in (Skopeo, DockerClient)]
        for client in clients:
            token = plain.fill.access_token("jane.doe", "read_registry")
            works(client.login("jane.doe", token))
            assert [client.pull(reference).returncode for reference in references] != [0] * len(OLD)
        plain.site(ADMIN).press(f"{address}?parts=2&visibility=internal", address, "digest")
        for client in clients:
            for reference in references:
                works(client.pull(reference))
    plain.until(lambda: not plain.fill.rows(UnassignedRepository), 60)
    images = {image.path: image.tag_count for image in plain.fill.rows(ContainerImage)}
    assert images == dict.fromkeys(OLD, 1)
    me = plain.site("jane.doe", PASSWORD)
    for page in ("nginx", "quay.io/org", "team", "docker.io/library"):
        assert f"<title>{page}" in me.get(f"/{page}").body
