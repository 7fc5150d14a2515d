"""Manifests as the registry holds them, honest and hostile (PROTOCOLS 4.2, 4.4, 6.14)."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.demo import artifacts, images
from registry_ui.distribution.image_config import ImageConfig, read_config
from registry_ui.distribution.manifest import (
    MAX_CHILDREN,
    MAX_LAYERS,
    MAX_SIZE,
    NO_MANIFESTS,
    ManifestFacts,
    read_manifest,
)
from registry_ui.distribution.media_types import BUILD_CACHE

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
SHA = "sha256:" + "c3" * 32


def descriptor(**changes):
    return {"mediaType": "application/x", "digest": SHA, "size": 10, **changes}


def read(document, media_type=OCI):
    return read_manifest(media_type, json.dumps(document).encode())


def image(**changes):
    return {"schemaVersion": 2, "config": descriptor(mediaType=CONFIG), "layers": [], **changes}


@pytest.fixture(scope="module")
def built():
    return images.image([images.layer({"etc/motd": "hello"}, "COPY motd /etc/")])


def test_an_image_has_the_size_of_config_and_layers_together(built):
    facts = read_manifest(built.media_type, built.data)
    assert facts.kind == "image"
    assert facts.wants_config
    assert facts.size == facts.config.size + sum(layer.size for layer in facts.layers)
    assert facts.problems == ()


def test_an_index_of_buildx_has_platforms_and_attestations_apart(built):
    index = images.index([built, artifacts.attestation(built)])
    facts = read_manifest(index.media_type, index.data)
    assert facts.kind == "index"
    assert facts.size is None
    assert [child.is_attestation for child in facts.children] == [False, True]
    assert facts.children[1].attests == built.digest
    assert facts.children[0].platform.startswith("linux/")


def test_charts_signatures_and_attestations_are_known_by_their_kind(built):
    chart = artifacts.chart({"name": "shop", "version": "0.1.0", "apiVersion": "v2"}, {})
    signature = artifacts.signature(built, "a/b")
    attestation = artifacts.attestation(built)
    kinds = [read_manifest(m.media_type, m.data).kind for m in (chart, signature, attestation)]
    assert kinds == ["chart", "signature", "attestation"]


def test_another_config_makes_an_artifact_and_its_type_is_told():
    facts = read(image(config=descriptor(mediaType="application/vnd.some.thing")))
    assert (facts.kind, facts.artifact_type) == ("artifact", "application/vnd.some.thing")
    assert not facts.wants_config


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"null", b"7", b"[" * 100_000])
def test_a_body_that_is_no_object_is_named_as_a_problem(body):
    facts = read_manifest(OCI, body)
    assert facts.kind == "unknown"
    assert facts.problems


@pytest.mark.parametrize("size", [-1, 2**63, 2**200, "10", 1.5, None, True])
def test_a_size_that_lies_counts_nothing_and_is_named(size):
    facts = read(image(layers=[descriptor(size=size)]))
    assert facts.layers[0].size == 0
    assert any("can't be true" in problem for problem in facts.problems)


def test_the_total_stays_within_what_a_database_holds():
    layers = [descriptor(size=MAX_SIZE, digest=f"sha256:{n:064x}") for n in range(100)]
    facts = read(image(layers=layers))
    assert facts.size == MAX_SIZE


def test_more_layers_or_children_than_sane_are_cut_and_named():
    layers = read(image(layers=[descriptor()] * (MAX_LAYERS + 1)))
    assert len(layers.layers) == MAX_LAYERS
    assert layers.problems
    children = read({"manifests": [descriptor(mediaType=OCI)] * (MAX_CHILDREN + 5)}, INDEX)
    assert len(children.children) == MAX_CHILDREN
    assert children.problems
    assert children.children_total == MAX_CHILDREN + 5


def test_an_index_of_blobs_with_the_config_of_buildkit_is_a_build_cache():
    blobs = [descriptor(size=5, digest=f"sha256:{n:064x}") for n in range(100)]
    config = descriptor(mediaType=BUILD_CACHE, size=7, digest=f"sha256:{100:064x}")
    facts = read({"schemaVersion": 2, "manifests": [*blobs, config]}, INDEX)
    assert (facts.kind, facts.artifact_type) == ("build cache", BUILD_CACHE)
    assert (facts.children, len(facts.layers)) == ((), 101)
    assert facts.size == 100 * 5 + 7
    assert facts.problems == ()


def test_a_manifest_with_the_config_of_buildkit_is_a_build_cache():
    assert read(image(config=descriptor(mediaType=BUILD_CACHE))).kind == "build cache"


def test_an_index_of_other_blobs_is_no_image_and_says_so():
    facts = read({"manifests": [descriptor()]}, INDEX)
    assert (facts.kind, len(facts.layers), facts.problems) == ("unknown", 1, (NO_MANIFESTS,))


def test_an_index_of_manifests_and_blobs_has_the_manifests_as_its_children():
    other = f"sha256:{5:064x}"
    facts = read({"manifests": [descriptor(mediaType=OCI), descriptor(digest=other)]}, INDEX)
    assert facts.kind == "index"
    assert [child.digest for child in facts.children] == [SHA]
    assert [blob.digest for blob in facts.layers] == [other]


@pytest.mark.parametrize("media_type", [None, "", 7, [], {}, OCI.upper(), OCI + "; charset=utf-8"])
def test_an_entry_without_a_type_of_a_manifest_is_a_blob(media_type):
    facts = read({"manifests": [descriptor(mediaType=media_type)]}, INDEX)
    assert (facts.children, len(facts.layers)) == ((), 1)


def test_an_empty_index_is_an_index():
    assert read({"manifests": []}, INDEX).kind == "index"


def test_a_blob_that_is_listed_twice_is_pulled_once():
    one, two = descriptor(size=5), descriptor(size=7, digest=f"sha256:{1:064x}")
    assert read(image(config=two, layers=[one, one])).size == 12


PLATFORMS = {
    "linux/arm64/v8": {"os": "linux", "architecture": "arm64", "variant": "v8"},
    "windows/amd64 (10.0.20348.2227)": {
        "os": "windows",
        "architecture": "amd64",
        "os.version": "10.0.20348.2227",
    },
    "": {"os.version": "1"},
}


@pytest.mark.parametrize("label", PLATFORMS)
def test_platforms_that_differ_by_the_version_of_the_system_have_different_labels(label):
    entry = descriptor(mediaType=OCI, platform=PLATFORMS[label])
    assert read({"manifests": [entry]}, INDEX).children[0].platform == label


def test_an_instance_compressed_with_zstd_says_so():
    platform = {"os": "linux", "architecture": "amd64"}
    annotations = {"io.github.containers.compression.zstd": "true"}
    entry = descriptor(mediaType=OCI, platform=platform, annotations=annotations)
    assert read({"manifests": [entry]}, INDEX).children[0].platform == "linux/amd64 (zstd)"


@pytest.mark.parametrize("digest", ["", "sha256:1", "../../etc", SHA + "\n", None, 7, "SHA256:A"])
def test_a_pointer_without_a_usable_digest_is_left_out_and_named(digest):
    facts = read(image(layers=[descriptor(digest=digest)]))
    assert facts.layers == ()
    assert facts.problems


def test_a_body_that_claims_to_be_both_is_named():
    facts = read({**image(), "manifests": []})
    assert any("both" in problem for problem in facts.problems)


def test_a_media_type_that_contradicts_the_registry_is_named():
    assert any(INDEX in problem for problem in read({**image(), "mediaType": INDEX}).problems)


def test_only_text_is_an_annotation_and_no_nul_gets_through():
    facts = read(image(annotations={"a": "b", "n": 1, "o": {}, "z": "x\x00y", "s": "\ud800"}))
    assert facts.annotations["a"] == "b"
    assert set(facts.annotations) == {"a", "z", "s"}
    assert "\x00" not in facts.annotations["z"]
    facts.annotations["s"].encode()


def test_an_annotation_date_says_when_an_artifact_was_made():
    facts = read(image(annotations={"org.opencontainers.image.created": "2026-01-02T03:04:05Z"}))
    assert facts.created_at.isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_subject_is_kept_only_as_a_digest():
    assert read(image(subject=descriptor())).subject == SHA
    assert read(image(subject={"digest": "x"})).subject == ""
    assert read(image(subject="x")).subject == ""


def test_facts_come_back_from_the_store_as_they_were(built):
    facts = read_manifest(built.media_type, built.data)
    assert ManifestFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_each_layer_has_the_line_of_history_that_made_it(built):
    config = read_config(json.dumps(built.config).encode())
    made = [line.created_by for line in config.history if not line.empty]
    assert made == ["COPY motd /etc/"]


def test_a_configuration_in_full():
    config = read_config(
        json.dumps(
            {
                "os": "linux",
                "architecture": "arm",
                "variant": "v7",
                "created": "2026-01-02T03:04:05.123456789Z",
                "config": {
                    "User": "app",
                    "WorkingDir": "/srv",
                    "Entrypoint": ["/start"],
                    "Cmd": ["--port", "80"],
                    "Env": ["A=1", "B=x=y", "C"],
                    "ExposedPorts": {"80/tcp": {}},
                    "Volumes": {"/data": {}},
                    "Labels": {"b": "2", "a": "1", "n": 3},
                },
                "history": [{"created_by": "RUN x"}, {"empty_layer": True}, "nonsense"],
            }
        ).encode()
    )
    assert config.platform == "linux/arm/v7"
    assert config.env == (("A", "1"), ("B", "x=y"), ("C", ""))
    assert config.labels == (("a", "1"), ("b", "2"))
    assert (config.entrypoint, config.cmd) == (("/start",), ("--port", "80"))
    assert (config.ports, config.volumes) == (("80/tcp",), ("/data",))
    assert [line.empty for line in config.history] == [False, True]
    assert ImageConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("created", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "x", 7, None])
def test_a_date_that_cannot_be_true_is_not_recorded(created):
    assert read_config(json.dumps({"created": created}).encode()).built_at is None


def test_nothing_was_built_later_than_tomorrow():
    now = datetime.now(UTC)
    for days, true in ((0, True), (0.9, True), (1.1, False), (400, False)):
        created = (now + timedelta(days=days)).isoformat()
        assert bool(read_config(json.dumps({"created": created}).encode()).built_at) is true
    far = {"org.opencontainers.image.created": "9999-12-31T23:00:00Z"}
    assert read(image(annotations=far)).created_at is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "config",
                    "layers",
                    "manifests",
                    "digest",
                    "size",
                    "platform",
                    "annotations",
                    "subject",
                    "mediaType",
                    "os",
                    "history",
                    "Env",
                    "Labels",
                    "created",
                    "artifactType",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(values, st.sampled_from([OCI, INDEX, "", "x/y"]))
def test_no_json_whatsoever_makes_the_readers_fail(value, media_type):
    body = json.dumps(value).encode()
    facts = read_manifest(media_type, body)
    assert ManifestFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    config = read_config(body)
    assert ImageConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
