"""The images of the demonstration: right by the specifications, and accepted by a real registry."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator

import pytest

from registry_ui.demo import samples
from registry_ui.demo.artifacts import (
    HELM_CHART,
    HELM_CONFIG,
    IN_TOTO,
    SIMPLE_SIGNING,
    SLSA,
    SPDX,
    attestation,
    chart,
    signature,
    signature_tag,
    signing_key,
)
from registry_ui.demo.content import SAMPLES, Sample
from registry_ui.demo.images import (
    DOCKER,
    OCI,
    Blob,
    Image,
    Manifest,
    Step,
    filler,
    image,
    index,
    layer,
)
from registry_ui.demo.push import Challenge, RegistryClient, RegistryError
from tests.support.processes import Server, free_port, required


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def every_manifest(sample: Sample) -> list[Manifest]:
    return [part for whole in sample.tags().values() for part in whole.walk()]


@pytest.fixture
def small() -> Image:
    """An image of two layers with a step between them."""
    return image(
        [layer({"a/b.txt": "one"}), Step("ENV A=1"), layer({"run.sh": "#!/bin/sh\n"})],
        runtime={"Env": ["A=1"]},
    )


class TestBytes:
    def test_the_digest_is_that_of_the_bytes(self):
        blob = Blob("text/plain", b"hello")
        assert blob.digest == digest_of(b"hello")
        assert blob.descriptor() == {
            "mediaType": "text/plain",
            "digest": digest_of(b"hello"),
            "size": 5,
        }

    def test_a_layer_is_a_gzipped_tar_with_its_folders(self):
        made = layer({"srv/app/start.sh": "#!/bin/sh\n", "srv/app/data": b"\x00\x01"})
        with tarfile.open(fileobj=io.BytesIO(made.data), mode="r:gz") as archive:
            modes = {entry.name: (entry.isdir(), oct(entry.mode)) for entry in archive}
            content = archive.extractfile("srv/app/data")
            assert content is not None
            assert content.read() == b"\x00\x01"
        assert modes == {
            "srv": (True, "0o755"),
            "srv/app": (True, "0o755"),
            "srv/app/data": (False, "0o644"),
            "srv/app/start.sh": (False, "0o755"),
        }

    def test_the_same_arguments_give_the_same_bytes_at_another_time(self, monkeypatch):
        before = layer({"b": "2", "a": "1"})
        monkeypatch.setattr(time, "time", lambda: 1.0)
        assert layer({"a": "1", "b": "2"}) == before

    def test_filler_does_not_compress_and_depends_on_its_seed(self):
        assert filler(1000, "x") == filler(1000, "x") != filler(1000, "y")
        assert len(gzip.compress(filler(10_000, "x"))) > 10_000


class TestImage:
    @pytest.mark.parametrize("family", [OCI, DOCKER])
    def test_media_types_are_of_one_family(self, family):
        made = image([layer({"a": "1"})], family=family)
        assert made.json["mediaType"] == made.media_type == family.manifest
        assert made.json["config"]["mediaType"] == family.config
        assert [each["mediaType"] for each in made.json["layers"]] == [family.layer]

    def test_diff_ids_are_the_digests_of_the_unpacked_layers(self, small):
        unpacked = [digest_of(gzip.decompress(blob.data)) for blob in small.blobs[1:]]
        assert small.config["rootfs"] == {"type": "layers", "diff_ids": unpacked}
        assert len(unpacked) == 2

    def test_the_manifest_names_config_and_layers_in_order(self, small):
        named = [small.json["config"], *small.json["layers"]]
        assert [each["digest"] for each in named] == [digest_of(b.data) for b in small.blobs]
        assert [each["size"] for each in named] == [len(b.data) for b in small.blobs]

    def test_history_marks_steps_without_a_layer(self, small):
        history = small.config["history"]
        assert [line.get("empty_layer", False) for line in history] == [False, True, False]
        created = [line["created"] for line in history]
        assert created == sorted(created)
        assert created[-1] == small.config["created"]

    def test_the_platform_is_in_the_config_and_in_the_descriptor(self):
        made = image([layer({"a": "1"})], platform="linux/arm/v7")
        assert made.descriptor()["platform"] == {
            "os": "linux",
            "architecture": "arm",
            "variant": "v7",
        }
        assert (made.config["architecture"], made.config["variant"]) == ("arm", "v7")

    def test_docker_manifests_take_no_annotations(self):
        with pytest.raises(ValueError, match="Labels"):
            image([layer({"a": "1"})], family=DOCKER, annotations={"a": "b"})


class TestIndex:
    def test_children_come_first_and_are_named_with_size_and_platform(self):
        children = [image([layer({"a": "1"})], platform=p) for p in ("linux/amd64", "linux/arm64")]
        made = index(children)
        assert list(made.walk()) == [*children, made]
        assert made.json["mediaType"] == made.media_type == OCI.index
        assert made.json["manifests"] == [
            {
                "mediaType": OCI.manifest,
                "digest": digest_of(child.data),
                "size": len(child.data),
                "platform": {"architecture": name, "os": "linux"},
            }
            for child, name in zip(children, ("amd64", "arm64"), strict=True)
        ]

    def test_a_docker_index_is_a_manifest_list(self):
        made = index([image([layer({"a": "1"})], family=DOCKER)], family=DOCKER)
        assert made.json["mediaType"] == DOCKER.index


class TestAttestation:
    """PROTOCOLS 4.4: the shape in which buildx writes them."""

    def test_its_descriptor_is_an_unknown_platform_that_names_the_image(self, small):
        descriptor = attestation(small).descriptor()
        assert descriptor["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert descriptor["annotations"] == {
            "vnd.docker.reference.digest": small.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        }

    def test_its_layers_are_statements_about_the_image(self, small):
        made = attestation(small)
        assert [
            (each["mediaType"], each["annotations"]["in-toto.io/predicate-type"])
            for each in made.json["layers"]
        ] == [(IN_TOTO, SPDX), (IN_TOTO, SLSA)]
        for blob in made.blobs[1:]:
            statement = json.loads(blob.data)
            assert statement["_type"] == "https://in-toto.io/Statement/v0.1"
            assert statement["predicateType"] == blob.annotations["in-toto.io/predicate-type"]
            assert statement["subject"] == [
                {"name": "_", "digest": {"sha256": small.digest.removeprefix("sha256:")}}
            ]
            assert statement["predicate"]

    def test_the_common_form_has_an_image_config_of_no_platform(self, small):
        made = attestation(small)
        config = json.loads(made.blobs[0].data)
        assert made.json["config"]["mediaType"] == OCI.config
        assert (config["os"], config["architecture"]) == ("unknown", "unknown")
        assert config["rootfs"]["diff_ids"] == [blob.digest for blob in made.blobs[1:]]
        assert "subject" not in made.json

    def test_the_newer_form_is_an_artifact_with_a_subject(self, small):
        made = attestation(small, artifact=True).json
        assert made["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json"
        assert made["config"] == {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": digest_of(b"{}"),
            "size": 2,
        }
        assert made["subject"] == {
            "mediaType": OCI.manifest,
            "digest": small.digest,
            "size": len(small.data),
        }


class TestSignature:
    def test_its_tag_is_made_of_the_digest(self, small):
        assert signature_tag(small) == f"sha256-{small.digest.removeprefix('sha256:')}.sig"

    def test_it_signs_the_digest(self, small):
        made = signature(small, "registry.test/group/project")
        [named] = made.json["layers"]
        [payload] = made.blobs[1:]
        assert named["mediaType"] == SIMPLE_SIGNING
        proof = base64.b64decode(named["annotations"]["dev.cosignproject.cosign/signature"])
        signing_key().public_key().verify(proof, payload.data)
        critical = json.loads(payload.data)["critical"]
        assert critical["image"] == {"docker-manifest-digest": small.digest}
        assert critical["type"] == "cosign container image signature"


def test_a_chart_holds_its_files_below_its_name():
    made = chart({"apiVersion": "v2", "name": "shop", "version": "0.1.0"}, {"values.yaml": "a: 1"})
    assert made.json["config"]["mediaType"] == HELM_CONFIG
    assert [each["mediaType"] for each in made.json["layers"]] == [HELM_CHART]
    assert json.loads(made.blobs[0].data)["version"] == "0.1.0"
    assert made.json["annotations"]["org.opencontainers.image.title"] == "shop"
    with tarfile.open(fileobj=io.BytesIO(made.blobs[1].data), mode="r:gz") as archive:
        files = [entry.name for entry in archive if entry.isfile()]
        metadata = archive.extractfile("shop/Chart.yaml")
        assert metadata is not None
        assert b'version: "0.1.0"' in metadata.read()
    assert files == ["shop/Chart.yaml", "shop/values.yaml"]


class TestSamples:
    def test_the_base_is_an_attested_index_of_three_platforms(self):
        [made] = samples.base().values()
        *images, first, second, third = made.json["manifests"]
        assert ["/".join(each["platform"].values()) for each in images] == [
            "amd64/linux",
            "arm64/linux",
            "arm/linux/v7",
        ]
        attested = [
            each["annotations"]["vnd.docker.reference.digest"] for each in (first, second, third)
        ]
        assert attested == [each["digest"] for each in images]

    def test_the_agent_has_300_tags_of_299_digests(self):
        tags = samples.agent()
        assert len(tags) == 300
        assert len({made.digest for made in tags.values()}) == 299
        assert {"1.0.0", "1.10.0", "1.9.3", "latest"} <= set(tags)
        assert tags["latest"] is tags["1.74.2"]

    @pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.title)
    def test_nothing_is_named_that_is_not_there(self, sample):
        for made in every_manifest(sample):
            held = {part.digest: len(part.data) for part in (*made.blobs, *made.children)}
            body = made.json
            named = body.get("manifests") or [body["config"], *body["layers"]]
            assert {each["digest"]: each["size"] for each in named} == held

    def test_digests_are_the_same_in_another_process(self):
        script = (
            "from registry_ui.demo.content import SAMPLES\n"
            "print([m.digest for s in SAMPLES for m in s.tags().values()])"
        )
        other = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        )
        here = [made.digest for sample in SAMPLES for made in sample.tags().values()]
        assert other.stdout.strip() == str(here)


class TestChallenge:
    def test_it_is_parsed(self):
        header = (
            'Bearer realm="http://h/jwt/auth",service="registry",scope="repository:a/b:pull,push"'
        )
        assert Challenge.parse(header) == Challenge(
            "http://h/jwt/auth", "registry", "repository:a/b:pull,push"
        )

    def test_another_scheme_is_refused(self):
        with pytest.raises(RegistryError, match="bearer"):
            Challenge.parse('Basic realm="x"')

    def test_credentials_go_to_the_trusted_site_only(self):
        client = RegistryClient("http://localhost:1", "u", "p", trusted="http://localhost:8080")
        with pytest.raises(RegistryError, match="belongs to another site"):
            client.token(Challenge("http://localhost:9999/jwt/auth", "registry", ""), "")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry that asks nobody for a token."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: warn}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: 'localhost:{port}'}}\n"
    )
    program = required("docker-registry", "registry")
    server = Server([program, "serve", str(config)], folder / "log")
    try:
        server.wait_for_port(port)
        yield f"http://localhost:{port}"
    finally:
        server.stop()


class UploadsAtTheSameMoment(RegistryClient):
    """The first thread that uploads a shared blob waits for a moment for a second one."""

    def __init__(self, url: str, shared: str) -> None:
        super().__init__(url)
        self.shared, self.first_enters = shared, threading.Lock()
        self.second_entered = threading.Event()
        self.uploaded_together = False

    def _put_blob(self, repository: str, blob: Blob) -> None:
        if blob.digest == self.shared:
            if self.first_enters.acquire(blocking=False):
                self.uploaded_together = self.second_entered.wait(0.2)
            else:
                self.second_entered.set()
        super()._put_blob(repository, blob)


@pytest.mark.contract
class TestRealRegistry:
    def test_every_sample_is_accepted_and_is_there_the_second_time(self, registry):
        client = RegistryClient(registry)
        for sample in SAMPLES:
            tags = sample.tags()
            assert client.push(sample.repository, tags) == len(tags)
        again = RegistryClient(registry)
        for sample in SAMPLES:
            tags = sample.tags()
            assert again.push(sample.repository, tags) == 0
            assert set(tags) <= set(again.tags(sample.repository))
            for tag, made in tags.items():
                assert again.pull(sample.repository, tag) == made.data

    def test_a_blob_that_two_manifests_of_a_push_share_is_uploaded_once(self, registry):
        shared = layer({"shared.txt": "by two images"})
        client = UploadsAtTheSameMoment(registry, digest_of(shared.data))
        both = {tag: image([shared, layer({f"{tag}.txt": tag})]) for tag in ("one", "two")}
        client.push("try/shared", {"first": samples.backend(), **both})
        assert client.second_entered.is_set()
        assert not client.uploaded_together

    def test_skopeo_reads_and_copies_an_image_and_an_index(self, registry, tmp_path):
        skopeo = [required("skopeo"), "--insecure-policy"]
        client = RegistryClient(registry)
        host = registry.removeprefix("http://")
        made = samples.backend()
        client.push("try/backend", {"2.4.1": made})
        client.push("try/base", samples.base())

        seen = json.loads(
            subprocess.check_output(
                [*skopeo, "inspect", "--tls-verify=false", f"docker://{host}/try/backend:2.4.1"]
            )
        )
        assert seen["Digest"] == made.digest
        assert seen["Layers"] == [blob.digest for blob in made.blobs[1:]]
        assert seen["Labels"]["org.opencontainers.image.version"] == "2.4.1"
        # A copy verifies every digest and, converting, every diff_id.
        for name, more in (("backend:2.4.1", ["--format=oci"]), ("base:2026.11", ["--all"])):
            source, target = f"docker://{host}/try/{name}", f"oci:{tmp_path}/{name}"
            options = ["--quiet", "--src-tls-verify=false", *more]
            subprocess.run([*skopeo, "copy", *options, source, target], check=True)

    def test_a_refusal_says_what_was_tried(self, registry):
        with pytest.raises(RegistryError, match=r"GET /v2/no/such/manifests/tag .* 404") as caught:
            RegistryClient(registry).pull("no/such", "tag")
        assert caught.value.status == 404

    def test_a_registry_that_is_down_is_named(self):
        with pytest.raises(RegistryError, match=r"http://localhost:1 does not answer"):
            RegistryClient("http://localhost:1").challenge()
