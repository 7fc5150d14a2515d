"""What a manifest points to, read whole or not at all."""

from __future__ import annotations

import json

import pytest

from registry_ui.distribution.errors import InvalidRegistryResponse
from registry_ui.distribution.manifest import MAX_CHILDREN, MAX_LAYERS
from registry_ui.distribution.media_types import IMAGE_TYPES, INDEX_TYPES, SIGNED_SCHEMA_1
from registry_ui.distribution.references import (
    digests_in,
    every_blob,
    every_child,
    every_digest,
    merged_index,
    references_of,
)
from tests.support.oddities import layer_blob, schema1

IMAGE, INDEX = sorted(IMAGE_TYPES)[1], sorted(INDEX_TYPES)[1]
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
APART = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def part(number: int, media_type: str = "x") -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(number), "size": 1}


def body(**members: object) -> bytes:
    return json.dumps({"schemaVersion": 2, **members}).encode()


def test_an_image_points_to_its_config_and_to_every_layer_however_many():
    count = MAX_LAYERS + 100
    found = references_of(IMAGE, body(config=part(0), layers=[part(n + 1) for n in range(count)]))
    assert found.blobs == tuple(digest(n) for n in range(count + 1))
    assert found.children == ()


def test_an_index_points_to_every_child_however_many():
    count = MAX_CHILDREN + 100
    found = references_of(INDEX, body(manifests=[part(n, IMAGE) for n in range(count)]))
    assert found.children == tuple(digest(n) for n in range(count))
    assert found.blobs == ()


def test_entries_of_an_index_that_are_no_manifests_are_blobs():
    untyped = {"digest": digest(3)}
    index = body(manifests=[part(1, IMAGE), part(2, LAYER), untyped, part(4, INDEX)])
    found = references_of(INDEX, index)
    assert (found.children, found.blobs) == ((digest(1), digest(4)), (digest(2), digest(3)))
    assert every_child(index) == [digest(1), digest(4)]
    assert every_blob(index) == [digest(2)]  # without a type it may be either
    assert every_digest(index) == [digest(n) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("key", ["MediaType", "mediatype"])
def test_no_blob_is_sure_where_clients_may_read_another_type(key):
    entry = {**part(1, LAYER), key: IMAGE}
    assert every_blob(body(manifests=[entry])) == []
    twice = f'{{"manifests": [{json.dumps(part(1, IMAGE))}], "manifests": [{json.dumps(part(1))}]}}'
    assert every_blob(twice.encode()) == []


def test_what_stands_twice_is_one_part():
    assert references_of(IMAGE, body(config=part(1), layers=[part(1), part(1)])).blobs == (
        digest(1),
    )


@pytest.mark.parametrize("media_type", [FOREIGN, APART])
def test_layers_that_clients_fetch_elsewhere_are_told_apart(media_type):
    found = references_of(IMAGE, body(config=part(0), layers=[part(1, media_type), part(2)]))
    assert found.foreign == {digest(1)}
    assert found.blobs == (digest(0), digest(1), digest(2))


HOSTILE = {
    "no JSON": b"{",
    "a list": b"[]",
    "a digest of no form": body(config=part(0), layers=[{"digest": "sha256:abc"}]),
    "a digest that is a list": body(config={"digest": [digest(1)]}, layers=[]),
    "a layer that is a text": body(config=part(0), layers=["x"]),
    "deep": b'{"layers": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many parts": b'{"layers": [' + b"{}," * 60_000 + b"{}]}",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_can_not_be_read_whole_is_refused(what):
    with pytest.raises(InvalidRegistryResponse):
        references_of(IMAGE, HOSTILE[what])


def test_a_manifest_of_schema_1_points_to_its_layers():
    layers = [layer_blob(name) for name in ("one", "two")]
    found = references_of(SIGNED_SCHEMA_1, schema1("old", *layers).data)
    assert (found.children, found.blobs) == ((), tuple(blob.digest for blob in layers))


def test_lists_of_referrers_are_merged_and_keep_what_else_they_say():
    ours = body(manifests=[part(1)], annotations={"a": "b"})
    merged = merged_index(ours, body(manifests=[part(1), part(2), {"digest": "x"}, "y"]))
    assert merged is not None
    document = json.loads(merged)
    assert [entry["digest"] for entry in document["manifests"]] == [digest(1), digest(2)]
    assert document["annotations"] == {"a": "b"}
    assert merged_index(merged, body(manifests=[part(2)])) is None


def test_usable_digests_of_a_list():
    assert digests_in([part(1), {"digest": 5}, None, part(2)]) == [digest(1), digest(2)]
    assert digests_in({"digest": digest(1)}) == []
