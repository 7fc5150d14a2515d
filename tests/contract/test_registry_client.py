"""The application's client against the real registry: every call, and every way to fail."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry_ui.demo.images import DOCKER, OCI, encode, image, index, sha256
from registry_ui.distribution.client import RegistryClient
from registry_ui.distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryNotFound,
    RegistryUnavailable,
)
from registry_ui.names import Digest, RepositoryName, TagName
from tests.contract.conftest import client_of
from tests.support.live import Pusher, signer_of, tiny

pytestmark = pytest.mark.contract

KINDS = {
    DOCKER.manifest: tiny("docker", family=DOCKER),
    OCI.manifest: tiny("oci"),
    DOCKER.index: index([tiny("amd", family=DOCKER)], family=DOCKER),
    OCI.index: index([tiny("amd"), tiny("arm", platform="linux/arm64")]),
}
ABSENT = Digest(sha256(b"nobody ever pushed this"))


@pytest.fixture
def repository(request) -> RepositoryName:
    name = request.node.originalname.replace("_", "-")[:100]
    return RepositoryName(f"client/{name}")


def test_it_reads_the_version_of_the_api(registry_client):
    assert registry_client.ping() == "registry/2.0"


def test_tags_come_sorted_and_whole(registry_client, pusher, repository):
    tags = ["v10", "v2", "V2", "latest", "1.0_build.7", "a" * 128]
    pusher.push(str(repository), dict.fromkeys(tags, tiny("one")))
    assert registry_client.tags(repository) == sorted(tags)


def test_more_than_one_page_of_tags_comes_whole(registry_client, pusher, repository):
    tags = [f"1.{minor}" for minor in range(230)]
    pusher.push(str(repository), dict.fromkeys(tags, tiny("one")))
    assert registry_client.tags(repository) == sorted(tags)


def test_an_emptied_repository_has_no_tags_and_an_unknown_one_is_not_found(
    registry_client, pusher, repository
):
    pusher.push(str(repository), {"1.0": tiny("one")})
    pusher.delete(str(repository), tiny("one").digest)
    assert registry_client.tags(repository) == []
    with pytest.raises(RegistryNotFound):
        registry_client.tags(RepositoryName("client/never-made"))


def test_the_catalog_pages_over_more_than_a_hundred_repositories(own_registry, base_config):
    pusher = Pusher(own_registry.url, signer_of(base_config))
    names = {f"catalog/{first}{second}/app" for first in "abcdefghij" for second in range(10)}
    names |= {"catalog/a0", "catalog/a0/app-more", "catalog/a"}  # prefixes of each other
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: pusher.push(name, {"1.0": image([])}), sorted(names)))
    found = list(client_of(own_registry, base_config).catalog())
    assert len(found) == len(names) == 103
    assert set(map(str, found)) == names


@pytest.mark.parametrize("media_type", KINDS)
def test_each_type_of_manifest_is_served_as_itself(registry_client, pusher, repository, media_type):
    manifest = KINDS[media_type]
    pusher.push(str(repository), {"1.0": manifest})
    for reference in (TagName("1.0"), Digest(manifest.digest)):
        found = registry_client.manifest(repository, reference)
        assert found.digest == manifest.digest
        assert found.media_type == media_type
        assert found.body == manifest.data
        assert registry_client.head(repository, reference) == manifest.digest


def test_a_manifest_list_is_not_taken_for_its_amd64_child(registry_client, pusher, repository):
    """Without the list among the accepted types both registries serve the child in silence."""
    manifest = KINDS[DOCKER.index]
    pusher.push(str(repository), {"1.0": manifest})
    assert registry_client.head(repository, TagName("1.0")) != manifest.children[0].digest


def test_what_is_not_there_is_not_found(registry_client, pusher, repository):
    pusher.push(str(repository), {"1.0": tiny("one")})
    calls = [
        lambda: registry_client.head(repository, TagName("2.0")),
        lambda: registry_client.manifest(repository, TagName("2.0")),
        lambda: registry_client.manifest(repository, ABSENT),
        lambda: registry_client.blob(repository, ABSENT),
        lambda: registry_client.delete_manifest(repository, ABSENT),
    ]
    for call in calls:
        with pytest.raises(RegistryNotFound):
            call()


def test_a_blob_comes_with_its_bytes(registry_client, pusher, repository):
    manifest = tiny("one")
    pusher.push(str(repository), {"1.0": manifest})
    config = manifest.blobs[0]
    assert registry_client.blob(repository, Digest(config.digest)) == config.data


@pytest.mark.parametrize("body", [b"{}", b"", bytes(range(256)) * 64], ids=["json", "empty", "16k"])
def test_a_blob_that_it_uploads_can_be_read_back(registry_client, repository, body):
    digest = registry_client.put_blob(repository, body)
    assert digest == sha256(body)
    assert registry_client.blob(repository, Digest(digest)) == body


def test_a_manifest_that_it_pushes_is_there_byte_for_byte(registry_client, repository):
    config = {"mediaType": OCI.config, "digest": registry_client.put_blob(repository, b"{}")}
    body = encode({"schemaVersion": 2, "config": {**config, "size": 2}, "layers": []})
    digest = registry_client.put_manifest(repository, TagName("1.0"), body, OCI.manifest)
    assert registry_client.manifest(repository, TagName("1.0")).body == body
    assert registry_client.head(repository, Digest(digest)) == digest
    assert json.loads(body)["config"]["digest"] == sha256(b"{}")


def test_a_deletion_by_digest_takes_every_tag_on_it(registry_client, pusher, repository):
    pusher.push(str(repository), {"1.0": tiny("one"), "latest": tiny("one"), "2.0": tiny("two")})
    registry_client.delete_manifest(repository, Digest(tiny("one").digest))
    assert registry_client.tags(repository) == ["2.0"]
    with pytest.raises(RegistryNotFound):
        registry_client.delete_manifest(repository, Digest(tiny("one").digest))


def test_a_deletion_by_tag_takes_that_tag_alone_or_is_refused_by_name(
    registry_client, live_registry, pusher, repository
):
    pusher.push(str(repository), {"1.0": tiny("one"), "latest": tiny("one")})
    if live_registry.version == "2.8":
        with pytest.raises(DeletionByTagUnsupported):
            registry_client.delete_manifest(repository, TagName("latest"))
        assert registry_client.tags(repository) == ["1.0", "latest"]
    else:
        registry_client.delete_manifest(repository, TagName("latest"))
        assert registry_client.tags(repository) == ["1.0"]


def test_switched_off_deletion_is_told_apart(own_registry, base_config):
    name = RepositoryName("client/kept")
    Pusher(own_registry.url, signer_of(base_config)).push(str(name), {"1.0": tiny("one")})
    own_registry.stop()
    own_registry.deletion = False
    own_registry.start()
    client = client_of(own_registry, base_config)
    for reference in (TagName("1.0"), TagName("absent"), Digest(tiny("one").digest), ABSENT):
        with pytest.raises(DeletionDisabled):
            client.delete_manifest(name, reference)
    assert client.head(name, TagName("1.0")) == tiny("one").digest


def test_a_registry_that_was_restarted_is_asked_again(own_registry, base_config):
    client = client_of(own_registry, base_config)
    assert client.ping()
    own_registry.stop()
    with pytest.raises(RegistryUnavailable):
        client.ping()
    own_registry.start()
    assert client.ping()


def test_a_registry_that_accepts_but_never_answers_is_unavailable_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = RegistryClient(address, lambda *_: "x", timeout=0.2)
        with pytest.raises(RegistryUnavailable):
            client.ping()


def test_its_calls_may_come_from_many_threads(registry_client, pusher, repository):
    tags = {f"1.{minor}": tiny(f"thread {minor}") for minor in range(16)}
    pusher.push(str(repository), tags)
    found: dict[str, str] = {}

    def ask(tag: str) -> None:
        found[tag] = registry_client.manifest(repository, TagName(tag)).digest

    threads = [threading.Thread(target=ask, args=(tag,)) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {tag: manifest.digest for tag, manifest in tags.items()}
