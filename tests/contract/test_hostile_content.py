"""Whatever was pushed, pages show it as text: no markup, no script, no harm (PROTOCOLS 6.13, 6.14).

Everything here is pushed to a real registry, which takes it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry_ui.demo.images import DOCKER, OCI, Blob, Manifest, Platform, encode, index, layer
from tests.support.html import Page
from tests.support.live import LiveSite, tiny

pytestmark = pytest.mark.contract

#: Each would be an element, an attribute or a link if it were not escaped.
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'-alert(3)-'",
    "</code></pre><iframe src=javascript:alert(4)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u2066",
    "\x1b[31mred\x00nul",
]
LINKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "//evil.example/x",
    "https:evil.example",
    'https://evil.example/" onmouseover="alert(1)',
    "https://evil.example/<script>",
]
ALL = MARKUP + LINKS
LAYER = layer({"a": "b"})


def config_blob(**more: Any) -> Blob:
    config = {"os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z", **more}
    return Blob(OCI.config, encode(config))


def manifest_of(config: Blob, **more: Any) -> Manifest:
    """A manifest with this config; ``more`` are members of it."""
    blobs = (config, Blob(OCI.layer, LAYER.data))
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in blobs[1:]],
        **more,
    }
    return Manifest(OCI.manifest, encode(body), blobs=blobs)


def loaded() -> Manifest:
    """An image with hostile text wherever a config or a manifest can hold text."""
    numbered = {f"key {n} {text}": text for n, text in enumerate(ALL)}
    config = config_blob(
        author=MARKUP[0],
        os=MARKUP[0],
        architecture=MARKUP[1],
        config={
            "User": MARKUP[0],
            "WorkingDir": MARKUP[1],
            "Env": [f"{text}={text}" for text in ALL],
            "Entrypoint": ALL,
            "Cmd": ALL,
            "ExposedPorts": {text: {} for text in ALL},
            "Volumes": {text: {} for text in ALL},
            "Labels": numbered,
        },
        history=[{"created_by": text, "comment": text} for text in ALL],
        rootfs={"type": "layers", "diff_ids": [LAYER.diff_id]},
    )
    return manifest_of(config, annotations=numbered, artifactType=MARKUP[0])


def platforms() -> Manifest:
    """An index whose platforms are markup."""
    made = index([tiny("amd")])
    child = {**tiny("amd").descriptor(), "platform": {"os": MARKUP[0], "architecture": MARKUP[1]}}
    body = {**made.json, "manifests": [child], "annotations": {"a": MARKUP[0]}}
    return Manifest(OCI.index, encode(body), children=made.children)


def is_inert(page: Page) -> None:
    """Nothing of what was pushed became an element, a handler or a way off the site."""
    for element in page.walk():
        if element.tag == "script":
            assert element.attrs["src"].startswith("/static/")
            assert element.text == ""
        assert element.tag not in {"iframe", "object", "embed", "base"}
        assert element.tag != "img" or element.attrs.get("src") != "x"
        assert [name for name in element.attrs if name.startswith("on")] == []
        for name in ("href", "src", "action", "hx-get"):
            address = element.attrs.get(name, "/")
            assert address[:1] in "/#?" or address.startswith(("http://localhost", "https://"))
            assert not address.startswith("//")
            assert "evil.example" not in address


def pages_of(site: LiveSite, tag: str) -> list[str]:
    below = f"/{site.shop}/-/images/app"
    names = (f"/{site.shop}", below, f"{below}/-/rows", f"{below}/-/tags/{tag}")
    return [*names, f"{below}/-/tags/{tag}/-/delete", f"{below}/-/delete", "/"]


@pytest.mark.parametrize("make", [loaded, platforms], ids=["image", "index"])
def test_markup_and_links_in_an_image_are_text(shop, make):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": make()})
    for address in pages_of(shop, "1.0"):
        is_inert(shop.page(address))
    text = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0").text
    assert MARKUP[0] in text
    assert "49" not in text.split()


def test_every_hostile_text_is_there_to_read(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": loaded()})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    values = [row["Value"] for row in page.table("Labels")]
    for text in [*MARKUP[:5], *LINKS]:
        assert " ".join(text.split()) in values


def test_the_api_gives_hostile_text_as_json_and_never_as_html(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": loaded()})
    auth = ("maintainer", shop.access_token("maintainer", "read_registry"))
    address = f"/api/v4/projects/{shop.shop}/-/images/app/-/tags"
    answer = shop.app.test_client().get(address, auth=auth)
    assert answer.content_type == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


DEEP = b"[" * 100_000 + b"]" * 100_000
CONFIGS: dict[str, bytes] = {
    "not JSON": b"<script>alert(1)</script>",
    "no object": b"[]",
    "empty": b"",
    "nested too deep": DEEP,
    "not UTF-8": b'{"os": "\xff\xfe"}',
    "lone surrogates": b'{"os": "\\ud800", "config": {"Env": ["A=\\udfff"]}}',
    "NUL": b'{"os": "a\\u0000b", "config": {"Labels": {"a\\u0000": "\\u0000"}}}',
    "wrong types": json.dumps(
        {
            "os": 7,
            "created": 12,
            "config": {"Env": {"a": 1}, "Labels": ["x"], "Cmd": "sh", "ExposedPorts": 8},
            "history": [None, 7, {"created": [], "created_by": {}}],
            "rootfs": 1,
        }
    ).encode(),
    "dates that can't be": json.dumps(
        {"created": "9999-12-31T23:59:59-14:00", "history": [{"created": "0001-01-01T00:00:00Z"}]}
    ).encode(),
    "huge number": b'{"created": ' + b"9" * 10_000 + b"}",
    "five megabytes": b'{"author": "' + b"a" * 5_000_000 + b'"}',
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_cannot_be_read_leaves_a_page_that_can(shop, case):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": manifest_of(Blob(OCI.config, CONFIGS[case]))})
    for address in pages_of(shop, "1.0"):
        is_inert(shop.page(address))
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert page.facts["Digest"].startswith("sha256:")


MEMBERS: dict[str, dict[str, Any]] = {
    "sizes that lie": {
        "layers": [
            {"mediaType": OCI.layer, "digest": Blob("", LAYER.data).digest, "size": size}
            for size in (2**62, 2**62, 0)
        ]
    },
    "two thousand layers": {
        "layers": [Blob(OCI.layer, LAYER.data).descriptor() for _ in range(2000)]
    },
    "an artifact of an unknown type": {"artifactType": "application/vnd.example.<b>thing</b>"},
    "a thousand annotations": {"annotations": {f"key {n}": "x" * 1000 for n in range(1000)}},
    "a subject that is nowhere": {
        "subject": {"mediaType": OCI.manifest, "digest": "sha256:" + "0" * 64, "size": 1}
    },
}


@pytest.mark.parametrize("case", MEMBERS)
def test_a_manifest_that_exaggerates_leaves_a_page_that_can_be_read(shop, case):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": manifest_of(config_blob(), **MEMBERS[case])})
    for address in pages_of(shop, "1.0"):
        is_inert(shop.page(address))


def test_indexes_in_indexes_are_followed_only_so_deep(shop):
    nested: Manifest = index([tiny("amd")])
    for depth in range(6):
        body = index([nested]).json | {"annotations": {"depth": str(depth)}}
        nested = Manifest(OCI.index, encode(body), children=(nested,))
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": nested})
    for address in pages_of(shop, "1.0"):
        is_inert(shop.page(address))


def test_an_index_of_a_hundred_children_says_that_it_shows_a_part(shop):
    children = [
        Manifest(m.media_type, m.data, blobs=m.blobs, platform=Platform("linux", f"a{n}"))
        for n, m in enumerate([tiny("amd", family=DOCKER)] * 100)
    ]
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": index(children, family=DOCKER)})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert "of 100" in page.text
    for address in pages_of(shop, "1.0"):
        is_inert(shop.page(address))
