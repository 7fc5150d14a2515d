"""Bodies that cost much to read: read once, outside of transactions, or not at all."""

from __future__ import annotations

import threading

import pytest

from registry_ui.db.session import writing
from registry_ui.distribution import image_config, manifest
from registry_ui.distribution.image_config import read_config
from registry_ui.distribution.manifest import TOO_MANY, read_manifest
from registry_ui.manifests import store, summary_writer
from registry_ui.models import Manifest
from tests.support.html import Page
from tests.web.graph import OCI, OCI_CONFIG, OCI_INDEX, sha256

IMAGE = "acme/app"
BOMB = b'{"x": [' + b"[]," * 200_000 + b"[]]}"


@pytest.fixture
def site(served, graph):
    served.users("owner")
    served.project(IMAGE)
    served.member("acme", "owner", "owner")
    return served


def adopt(site):
    assert site.app.test_cli_runner().invoke(args=["reconcile"]).exit_code == 0


def page(site, tag="v1"):
    answer = site.browser("owner").get(f"/{IMAGE}/-/tags/{tag}")
    assert answer.status_code == 200
    return Page(answer.text)


def with_config(graph, body):
    """Store an image with this configuration."""
    graph.blobs[sha256(body)] = body
    pointer = {"mediaType": OCI_CONFIG, "digest": sha256(body), "size": len(body)}
    return graph.store(OCI, {"schemaVersion": 2, "config": pointer, "layers": []})


def test_a_page_reads_no_configuration_that_was_read_before(site, graph, monkeypatch):
    graph.tag(IMAGE, v1=graph.image("one", config={"User": "somebody"}, variant="v9"))
    adopt(site)
    first = page(site)
    assert "somebody" in first.text
    for reader in (manifest, image_config):
        monkeypatch.setattr(reader, "parse_document", None)
    assert page(site).text == first.text


def test_bodies_are_read_while_nobody_waits_for_a_transaction(site, graph, monkeypatch):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    reads = []

    def outside(read):
        def reading(*arguments):
            if not threading.current_thread().name.startswith("registry"):
                with writing():  # refused inside of another
                    pass
            reads.append(read)
            return read(*arguments)

        return reading

    monkeypatch.setattr(store, "read_manifest", outside(read_manifest))
    monkeypatch.setattr(summary_writer, "read_config", outside(read_config))
    page(site)
    assert reads == [read_manifest, read_config]


@pytest.mark.parametrize("media_type", [OCI, OCI_INDEX])
def test_a_manifest_of_too_many_parts_says_so_on_its_page(site, graph, media_type):
    graph.tag(IMAGE, v1=graph.store(media_type, BOMB))
    adopt(site)
    assert TOO_MANY in page(site).text
    assert site.row(Manifest).kind == "unknown"


def test_a_configuration_of_too_many_parts_says_so_on_the_page(site, graph):
    graph.tag(IMAGE, v1=with_config(graph, BOMB))
    adopt(site)
    for _ in range(2):
        assert TOO_MANY in page(site).text
    assert site.row(Manifest).has_config
