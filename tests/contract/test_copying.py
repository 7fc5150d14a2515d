"""Copies within a real registry: the same bytes at the target, whatever a manifest is made of."""

from __future__ import annotations

import json
from unittest import mock

import pytest

from registry_ui.copies import copier as content
from registry_ui.copies.copier import MAX_DEPTH, Copier, CopyRefused
from registry_ui.copies.referrers import ReferrerCopier
from registry_ui.demo.artifacts import attestation, chart, signature, signature_tag
from registry_ui.demo.images import DOCKER, OCI, Blob, Manifest, encode, index, layer, sha256
from registry_ui.demo.images import image as made
from registry_ui.distribution.errors import RegistryNotFound
from registry_ui.names import Digest, RepositoryName, TagName
from tests.support.live import tiny

# The web tests ask the same of both storage pairs; one of them does for the registry's part.
pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
KINDS = {
    "image": tiny("one"),
    "docker image": tiny("docker", family=DOCKER),
    "docker list": index([tiny("d1", family=DOCKER), tiny("d2", family=DOCKER)], family=DOCKER),
    "index with attestations": index([AMD, ARM, attestation(AMD), attestation(ARM, artifact=True)]),
    "index of indexes": index([index([AMD]), ARM]),
    "chart": chart({"name": "web", "version": "1.0.0"}, {"templates/a.yaml": "a"}),
    "many layers": made([layer({f"file{n}": str(n)}) for n in range(70)]),
}


def oci(config: Blob, layers: list[dict], **more: object) -> Manifest:
    """Return a manifest written by hand."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": layers,
        **more,
    }
    return Manifest(OCI.manifest, encode(body), blobs=(config,))


class Two:
    """Two repositories, and the copier between them."""

    def __init__(self, site) -> None:
        self.site = site
        self.source, self.target = f"{site.root}/a/b/c/web", f"{site.root}/other/deep/er/web"
        self.held = 0

    def hold(self) -> None:
        self.held += 1

    def copier(self) -> Copier:
        return Copier(RepositoryName(self.source), RepositoryName(self.target), self.hold)

    def push(self, tags) -> None:
        self.site.push(self.source, tags)

    def copy(self, manifest: Manifest, tag: str):
        with self.site.app.app_context():
            copier = self.copier()
            brought = copier.copy_manifest(manifest.digest)
            copier.tag(TagName(tag), brought.top)
            return brought

    def follow(self, manifest: Manifest):
        with self.site.app.app_context():
            copier = self.copier()
            tags = self.site.pusher.tags(self.source)
            return ReferrerCopier(copier, tags).copy_referrers(
                copier.copy_manifest(manifest.digest).manifests
            )


@pytest.fixture
def two(site) -> Two:
    return Two(site)


def whole(site, repository: str, manifest: Manifest) -> None:
    """Pull a manifest with every part and check all bytes."""
    for part in manifest.walk():
        assert site.pusher.pull(repository, part.digest) == part.data
        for blob in part.blobs:
            url = f"{repository}/blobs/{blob.digest}"
            assert site.pusher._call("GET", url, repository, 200).content == blob.data


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_manifest_is_whole_at_the_target_with_the_same_digest(two, kind):
    manifest = KINDS[kind]
    two.push({"1.0": manifest})
    brought = two.copy(manifest, "1.1")
    assert two.site.live(two.target) == {"1.1": manifest.digest}
    assert brought.digest == manifest.digest
    assert set(brought.manifests) == {part.digest for part in manifest.walk()}
    assert brought.missing == ()
    whole(two.site, two.target, manifest)
    assert two.site.live(two.source) == {"1.0": manifest.digest}


def test_a_part_that_the_target_has_lost_since_it_was_seen_there_is_mounted_again(two):
    """It once was believed to be there, and the tag refused as if the source lacked it."""
    shared = layer({"shared": "by both"})
    one, other = made([shared, layer({"one": "1"})]), made([shared, layer({"other": "2"})])
    two.push({"1.0": one, "2.0": other})
    with two.site.app.app_context():
        copier = two.copier()
        copier.copy_manifest(one.digest)
        lost = f"{two.target}/blobs/{sha256(shared.data)}"
        two.site.pusher._call("DELETE", lost, two.target, 202)
        copier.copy_manifest(other.digest)
    whole(two.site, two.target, other)


def test_a_second_copy_looks_and_writes_nothing(two):
    manifest = KINDS["index with attestations"]
    two.push({"1.0": manifest})
    assert two.copy(manifest, "1.0").written > 0
    client = two.site.app.extensions["registry"]
    written = []

    def refuse(*what: object, **_more: object) -> None:
        written.append(what)

    with two.site.patched("put_manifest", refuse), two.site.patched("mount_blob", refuse):
        assert two.copy(manifest, "1.0").written == 0
    assert written == []
    assert client.tags(RepositoryName(two.target)) == ["1.0"]


def test_no_byte_of_a_layer_comes_by_here(two):
    manifest = KINDS["many layers"]
    two.push({"1.0": manifest})

    def touched(*_what: object, **_more: object) -> None:
        raise AssertionError("a blob was read or written")

    with two.site.patched("blob", touched), two.site.patched("put_blob", touched):
        two.copy(manifest, "1.0")
    assert two.held > 3  # a sign of life every few calls


def test_what_the_source_does_not_have_is_not_found(two):
    two.push({"1.0": tiny("one")})
    with pytest.raises(RegistryNotFound):
        two.copy(tiny("never pushed"), "1.0")
    assert two.site.pusher.tags(two.target) == []


def test_an_index_without_one_of_its_children_says_so_and_leaves_no_tag_behind(two):
    """Both registries refuse it at the target; its other children were copied, and harm nobody."""
    manifest = index([AMD, ARM])
    two.push({"1.0": manifest})
    two.site.pusher.delete(two.source, ARM.digest)
    with pytest.raises(CopyRefused, match="missing at the source"):
        two.copy(manifest, "1.0")
    assert two.site.pusher.tags(two.target) == []
    assert two.site.pusher.digest(two.target, AMD.digest) == AMD.digest


def test_a_layer_that_lies_elsewhere_is_not_asked_of_the_registry(two):
    config = Blob(OCI.config, b'{"os": "windows", "architecture": "amd64"}')
    elsewhere = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": sha256(b"at the vendor's"),
        "size": 15,
        "urls": ["https://vendor.example.test/layer"],
    }
    manifest = oci(config, [elsewhere])
    two.push({"plain": oci(config, [])})
    with two.site.app.app_context():
        copier = two.copier()
        client = two.site.app.extensions["registry"]
        real = client.manifest
        body = manifest.data

        def served(repository, reference):
            found = real(repository, reference)
            return type(found)(manifest.digest, OCI.manifest, body)

        plain = oci(config, []).digest
        put = []
        with (
            two.site.patched("manifest", served),
            two.site.patched("put_manifest", lambda *what: put.append(what)),
            two.site.patched("head", lambda *_: manifest.digest if put else plain),
        ):
            brought = copier.copy_manifest(plain)
    assert brought.missing == ()
    assert put[0][2] == body


def test_an_index_that_is_nested_too_deep_or_too_large_is_refused(two):
    deep = AMD
    for _ in range(MAX_DEPTH + 1):
        deep = index([deep])
    two.push({"deep": deep, "wide": index([AMD, ARM])})
    with pytest.raises(CopyRefused, match="nested too deep"):
        two.copy(deep, "deep")
    with (
        mock.patch.object(content, "MAX_MANIFESTS", 1),
        pytest.raises(CopyRefused, match="more than"),
    ):
        two.copy(index([AMD, ARM]), "wide")
    assert two.site.pusher.tags(two.target) == []


def test_children_that_many_indexes_share_are_brought_once(two):
    """A thousand referrers may name the same thousand children."""
    children = [tiny(f"child {n}") for n in range(5)]
    tops = [index([*children, tiny(f"own {n}")]) for n in range(4)]
    two.push({f"top{n}": top for n, top in enumerate(tops)})
    with two.site.app.app_context():
        copier = two.copier()
        copier.copy_manifest(tops[0].digest)
        first = two.held
        brought = [copier.copy_manifest(top.digest) for top in tops[1:]]
    # For each index, for its own child, and for the blobs of that.
    assert two.held - first == 3 * len(brought)
    for top, found in zip(tops[1:], brought, strict=True):
        assert set(found.manifests) == {part.digest for part in top.walk()}
        whole(two.site, two.target, top)


def test_a_manifest_that_means_more_to_the_registry_than_to_us_is_refused_and_never_half(two):
    """Go's JSON takes ``Layers`` for ``layers``: the registry holds a layer that we do not read."""
    honest = tiny("one")
    body = honest.data.replace(b'"layers"', b'"Layers"')
    trap = Manifest(OCI.manifest, body, blobs=honest.blobs)
    two.push({"1.0": trap})
    with pytest.raises(CopyRefused, match="missing at the source"):
        two.copy(trap, "1.0")
    assert two.site.pusher.tags(two.target) == []
    assert two.site.pusher.digest(two.target, trap.digest) is None


def test_a_registry_that_does_not_mount_gets_no_bytes_from_us(two):
    two.push({"1.0": tiny("one")})
    with (
        two.site.patched("mount_blob", lambda *_: False),
        pytest.raises(CopyRefused, match="does not mount"),
    ):
        two.copy(tiny("one"), "1.0")
    assert two.site.pusher.tags(two.target) == []


def test_an_upload_that_was_begun_instead_of_a_mount_is_given_up(two):
    two.push({"1.0": tiny("one")})
    two.site.push(two.target, {"1.0": tiny("two")})
    client = two.site.app.extensions["registry"]
    lacking = tiny("nowhere").blobs[0].digest
    source, target = RepositoryName(two.source), RepositoryName(two.target)
    assert client.mount_blob(target, Digest(lacking), source) is False
    uploads = two.site.registry.home / "data/docker/registry/v2/repositories"
    # What stays there is the state of the hash, which the registry writes while it gives up.
    left = (uploads / two.target / "_uploads").rglob("*")
    assert not [path for path in left if path.name in {"data", "startedat"}]


def test_a_heartbeat_that_raises_ends_the_copy_at_once(two):
    two.push({"1.0": KINDS["many layers"]})

    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    two.hold = stop
    with pytest.raises(Stop):
        two.copy(KINDS["many layers"], "1.0")
    assert two.site.pusher.tags(two.target) == []


# -- what signs or describes ------------------------------------------------------


def referring(subject: Manifest, text: str) -> Manifest:
    """Return an artifact that refers to a manifest."""
    config = Blob("application/vnd.oci.empty.v1+json", b"{}")
    what = Blob("text/plain", text.encode())
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "artifactType": "application/vnd.example.note",
        "config": config.descriptor(),
        "layers": [what.descriptor()],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": len(subject.data),
        },
    }
    return Manifest(OCI.manifest, encode(body), blobs=(config, what))


def fallback(subject: Manifest) -> str:
    return subject.digest.replace(":", "-")


def test_cosign_tags_go_along_also_those_of_a_platform(two):
    manifest = index([AMD, ARM])
    signed, of_arm = signature(manifest, two.source), signature(ARM, two.source)
    tags = {"1.0": manifest, signature_tag(manifest): signed, signature_tag(ARM): of_arm}
    two.push({**tags, signature_tag(tiny("other")): signature(tiny("other"), "x")})
    found = two.follow(manifest)
    assert found.tags == {signature_tag(manifest): signed.digest, signature_tag(ARM): of_arm.digest}
    assert two.site.live(two.target) == found.tags
    whole(two.site, two.target, signed)


def test_referrers_go_along_with_what_refers_to_them(two):
    subject = tiny("one")
    sbom = referring(subject, "an sbom")
    proof = signature(sbom, two.source)
    two.push({"1.0": subject, fallback(subject): index([sbom]), signature_tag(sbom): proof})
    found = two.follow(subject)
    assert set(found.tags) == {fallback(subject), signature_tag(sbom)}
    assert two.site.live(two.target)[fallback(subject)] == index([sbom]).digest
    whole(two.site, two.target, index([sbom]))
    assert two.follow(subject).written == []


def test_a_list_of_referrers_at_the_target_grows_and_loses_nothing(two):
    subject = tiny("one")
    here, there = referring(subject, "of the source"), referring(subject, "of the target")
    two.push({"1.0": subject, fallback(subject): index([here])})
    two.site.push(two.target, {"1.0": subject, fallback(subject): index([there])})
    two.follow(subject)
    merged = json.loads(two.site.pusher.pull(two.target, fallback(subject)))
    assert [part["digest"] for part in merged["manifests"]] == [there.digest, here.digest]
    assert two.follow(subject).written == []


def test_another_signature_at_the_target_stays_and_is_named(two):
    subject = tiny("one")
    two.push({"1.0": subject, signature_tag(subject): signature(subject, "here")})
    theirs = signature(subject, "there")
    two.site.push(two.target, {"1.0": subject, signature_tag(subject): theirs})
    found = two.follow(subject)
    assert found.kept == [signature_tag(subject)]
    assert two.site.live(two.target)[signature_tag(subject)] == theirs.digest


def test_a_registry_with_a_referrers_api_is_asked_by_it(two):
    subject = tiny("one")
    sbom = referring(subject, "an sbom")
    two.push({"1.0": subject, "note": sbom})
    listed = {subject.digest: [sbom.digest]}
    with two.site.patched("referrers", lambda _name, digest: listed.get(str(digest), [])):
        two.follow(subject)
    assert two.site.pusher.digest(two.target, sbom.digest) == sbom.digest
