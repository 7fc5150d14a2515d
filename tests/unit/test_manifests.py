"""Manifests as tools really write them, read into facts (PROTOCOLS 4.2, 4.4)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from registry_ui.distribution.image_config import read_config
from registry_ui.distribution.manifest import ManifestFacts, read_manifest

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
IN_TOTO = "application/vnd.in-toto+json"


def digest(letter):
    return "sha256:" + letter * 64


def part(letter, media_type, size, **more):
    return {"mediaType": media_type, "digest": digest(letter), "size": size, **more}


def image(config=OCI_CONFIG, layers=(), **more):
    return {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": part("c", config, 100),
        "layers": list(layers),
        **more,
    }


def read(document, media_type=OCI):
    return read_manifest(media_type, json.dumps(document).encode())


def test_an_image_with_its_layers():
    facts = read(image(layers=[part("1", OCI_LAYER, 1000), part("2", OCI_LAYER, 20)]))
    assert (facts.kind, facts.media_type, facts.problems) == ("image", OCI, ())
    assert [(layer.digest, layer.size) for layer in facts.layers] == [
        (digest("1"), 1000),
        (digest("2"), 20),
    ]
    assert facts.size == 1120
    assert facts.config.digest == digest("c")
    assert facts.wants_config
    assert facts.artifact_type == ""


def test_an_image_of_dockers_schema_2():
    document = image(DOCKER_CONFIG, [part("1", "application/vnd.docker.image.rootfs.diff", 7)])
    document["mediaType"] = DOCKER
    facts = read(document, DOCKER)
    assert (facts.kind, facts.size, facts.wants_config) == ("image", 107, True)


def test_an_oci_manifest_need_not_name_its_own_type():
    document = image()
    del document["mediaType"]
    facts = read(document)
    assert (facts.kind, facts.problems) == ("image", ())


def test_an_index_as_buildx_writes_it():
    attestation = {
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": digest("1"),
        },
    }
    facts = read(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                part("1", OCI, 500, platform={"os": "linux", "architecture": "amd64"}),
                part(
                    "2", OCI, 500, platform={"os": "linux", "architecture": "arm", "variant": "v7"}
                ),
                part("3", OCI, 500, **attestation),
                part("4", OCI, 500, platform={"architecture": "unknown", "os": "unknown"}),
            ],
        },
        OCI_INDEX,
    )
    assert (facts.kind, facts.size, facts.wants_config) == ("index", None, False)
    assert [child.platform for child in facts.children if not child.is_attestation] == [
        "linux/amd64",
        "linux/arm/v7",
    ]
    assert [child.digest for child in facts.children if child.is_attestation] == [
        digest("3"),
        digest("4"),
    ]
    assert facts.children[2].attests == digest("1")


def test_a_manifest_list_of_docker():
    document = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [part("1", DOCKER, 5)]}
    facts = read(document, DOCKER_LIST)
    assert facts.kind == "index"
    assert [(child.digest, child.platform) for child in facts.children] == [(digest("1"), "")]


KINDS = {
    "a helm chart": (
        image(
            "application/vnd.cncf.helm.config.v1+json",
            [part("1", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", 9)],
        ),
        "chart",
        "application/vnd.cncf.helm.config.v1+json",
    ),
    "a signature of cosign": (
        image(OCI_CONFIG, [part("1", "application/vnd.dev.cosign.simplesigning.v1+json", 9)]),
        "signature",
        "",
    ),
    "a bundle of sigstore": (
        image(
            OCI_EMPTY,
            [part("1", "application/vnd.dev.sigstore.bundle.v0.3+json", 9)],
            artifactType="application/vnd.dev.sigstore.bundle.v0.3+json",
            subject=part("a", OCI, 5),
        ),
        "signature",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    ),
    "provenance of buildx": (image(OCI_CONFIG, [part("1", IN_TOTO, 9)]), "attestation", ""),
    "an artifact by its type": (
        image(OCI_EMPTY, artifactType="application/vnd.example.thing"),
        "artifact",
        "application/vnd.example.thing",
    ),
    "an artifact by its config": (
        image("application/vnd.example.config+json"),
        "artifact",
        "application/vnd.example.config+json",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_not_an_image_is_told_by_its_types(name):
    document, kind, artifact_type = KINDS[name]
    facts = read(document)
    assert (facts.kind, facts.artifact_type) == (kind, artifact_type)
    assert facts.wants_config is (artifact_type == "" or kind == "chart")


def test_the_subject_of_a_referrer():
    assert read(image(subject=part("a", OCI, 5))).subject == digest("a")


def test_a_manifest_of_schema_1_is_shown_as_what_it_is():
    document = {"schemaVersion": 1, "name": "a/b", "fsLayers": [], "history": [], "signatures": []}
    facts = read(document, SCHEMA_1)
    assert (facts.kind, facts.media_type, facts.layers) == ("unknown", SCHEMA_1, ())


def test_annotations_are_kept_and_the_date_among_them_is_read():
    created = "org.opencontainers.image.created"
    facts = read(image(annotations={"a": "b", created: "2026-01-02T03:04:05Z"}))
    assert facts.annotations["a"] == "b"
    assert facts.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert read(image(annotations={created: "soon"})).created_at is None
    assert read(image()).created_at is None


@pytest.mark.parametrize("name", KINDS)
def test_facts_come_back_from_the_store_as_they_went_in(name):
    facts = read(KINDS[name][0] | {"annotations": {"a": "b"}})
    stored = json.loads(json.dumps(facts.to_json()))
    assert ManifestFacts.from_json(stored) == facts


# -- configurations ----------------------------------------------------------------

CONFIG = {
    "architecture": "arm64",
    "os": "linux",
    "variant": "v8",
    "author": "Alice",
    "created": "2026-01-02T03:04:05.123456789Z",
    "config": {
        "User": "1000",
        "WorkingDir": "/srv",
        "Entrypoint": ["/bin/app", "--serve"],
        "Cmd": ["--port", "80"],
        "Env": ["PATH=/bin", "EMPTY=", "ODD", "A=b=c"],
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"b": "2", "a": "1"},
    },
    "rootfs": {"type": "layers", "diff_ids": []},
    "history": [
        {"created": "2026-01-02T03:04:05Z", "created_by": "ADD rootfs", "comment": "c"},
        {"created_by": "ENV A=b", "empty_layer": True},
    ],
}


def test_a_configuration_says_what_will_run():
    config = read_config(json.dumps(CONFIG).encode())
    assert (config.platform, config.author) == ("linux/arm64/v8", "Alice")
    assert config.built_at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert (config.user, config.workdir) == ("1000", "/srv")
    assert (config.entrypoint, config.cmd) == (("/bin/app", "--serve"), ("--port", "80"))
    assert config.env == (("PATH", "/bin"), ("EMPTY", ""), ("ODD", ""), ("A", "b=c"))
    assert (config.ports, config.volumes) == (("443/tcp", "80/tcp"), ("/data",))
    assert config.labels == (("a", "1"), ("b", "2"))
    assert [(line.created_by, line.empty, line.comment) for line in config.history] == [
        ("ADD rootfs", False, "c"),
        ("ENV A=b", True, ""),
    ]
    assert config.history[1].created_at is None


@pytest.mark.parametrize(
    "created", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1980-01-01T00:00:00Z", "", None, 7]
)
def test_a_date_that_a_reproducible_build_made_up_is_none(created):
    config = read_config(json.dumps({**CONFIG, "created": created}).encode())
    assert config.built_at is None


def test_a_configuration_of_docker_with_fields_of_its_own_is_read():
    """The old builder wrote the container's configuration beside the image's."""
    document = {
        **CONFIG,
        "container": "f" * 64,
        "container_config": {"Hostname": "x", "Cmd": ["/bin/sh"], "Image": "sha256:x"},
        "docker_version": "20.10",
        "parent": "",
        "os.version": "10",
    }
    document["config"] = {**CONFIG["config"], "Hostname": "", "OnBuild": None, "Image": "x"}
    assert read_config(json.dumps(document).encode()).user == "1000"
