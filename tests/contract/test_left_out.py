"""What a page does not show of an image is counted, and there is a way to see all of it."""

from __future__ import annotations

import pytest

from registry_ui.demo.artifacts import signature
from registry_ui.demo.images import OCI, Blob, Manifest, encode, image, index, layer
from tests.support.live import LiveSite, tiny

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

ONE = tiny("one")


def with_config(config: dict[str, object]) -> Manifest:
    """Return an image with this configuration."""
    blobs = (Blob(OCI.config, encode(config)), Blob(OCI.layer, layer({"a": "b"}).data))
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": blobs[0].descriptor(),
        "layers": [blobs[1].descriptor()],
    }
    return Manifest(OCI.manifest, encode(body), blobs=blobs)


def page_of(shop: LiveSite, manifest: Manifest, tag: str = "1.0"):
    shop.push_and_tell(f"{shop.shop}/app", {tag: manifest})
    return shop.page(f"/{shop.shop}/-/images/app/-/tags/{tag}")


def test_labels_that_are_left_out_are_counted_and_can_be_downloaded(shop):
    labels = {f"label{n:02}": "x" * 3000 for n in range(23)}
    made = with_config({"os": "linux", "architecture": "amd64", "config": {"Labels": labels}})
    page = page_of(shop, made)
    assert len(page.table("Labels")) == 10
    assert "10 of 23 labels are shown" in page.text
    assert any("config" in e.attrs.get("href", "") for e in page.all("a"))


def test_nothing_is_said_where_all_labels_are_shown(shop):
    page = page_of(shop, image([layer({"a": "b"})], runtime={"Labels": {"a": "b"}}))
    assert "are shown" not in page.text


def test_referrers_that_are_left_out_are_counted_and_can_be_downloaded(shop):
    path = f"{shop.shop}/app"
    many = index([signature(ONE, f"somebody {n}") for n in range(100)])
    tag = ONE.digest.replace(":", "-")
    shop.push(path, {"1.0": ONE, tag: many})
    shop.reconcile(path)
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert "64 of 100 referrers are shown" in page.text


@pytest.mark.parametrize("key", ["Size", "Id", "container_config"])
def test_a_key_of_dockers_own_hides_nothing(shop, key):
    made = with_config(
        {"os": "linux", "architecture": "s390x", "config": {"User": "somebody"}, key: 5}
    )
    page = page_of(shop, made)
    assert "linux/s390x" in page.section("Configuration")
    assert "somebody" in page.section("Configuration")


def test_a_configuration_that_can_not_be_read_is_not_said_to_run_as_root(shop):
    page = page_of(shop, with_config({"os": "linux", "config": {"User": "x", "user": "y"}}))
    section = page.section("Configuration")
    assert "not known" in section
    assert "root" not in section
    assert "unknown/unknown" not in section


def test_children_of_one_platform_that_differ_look_different(shop):
    parts = []
    for number, version in enumerate(("10.0.17763.1", "10.0.20348.2")):
        made = image([layer({"os": version})], platform="windows/amd64")
        entry = made.descriptor()
        entry["platform"] = {**entry["platform"], "os.version": version}
        parts.append((made, entry, number))
    children = tuple(made for made, _, _ in parts)
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": [e for _, e, _ in parts]}
    page = page_of(shop, Manifest(OCI.index, encode(body), children=children))
    section = page.section("Platforms")
    assert "windows/amd64 (10.0.17763.1)" in section
    assert "windows/amd64 (10.0.20348.2)" in section


def test_children_of_one_platform_without_anything_that_tells_them_apart_show_their_digests(shop):
    """Such as one by gzip and one by zstd, of which buildx says nothing in the index."""
    plain = tiny("one by zstd")
    layers = [{**each, "mediaType": f"{OCI.layer[:-4]}zstd"} for each in plain.json["layers"]]
    zstd = Manifest(OCI.manifest, encode({**plain.json, "layers": layers}), blobs=plain.blobs)
    both = index([ONE])
    entries = [both.json["manifests"][0], {**both.json["manifests"][0], **zstd.descriptor()}]
    body = encode({**both.json, "manifests": entries})
    section = page_of(shop, Manifest(OCI.index, body, children=(ONE, zstd))).section("Platforms")
    listed = str(shop.page(f"/{shop.shop}/-/images/app").table("Tags")[0])
    for made in (ONE, zstd):
        assert f"linux/amd64 ({made.digest[7:19]})" in section
        assert f"linux/amd64 ({made.digest[7:19]})" in listed


def test_a_child_that_names_no_platform_is_not_blank_in_the_list(shop):
    entry = {k: v for k, v in ONE.descriptor().items() if k != "platform"}
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": [entry]}
    page_of(shop, Manifest(OCI.index, encode(body), children=(ONE,)))
    row = shop.page(f"/{shop.shop}/-/images/app").table("Tags")[0]
    assert "no platform named" in str(row)
