"""The page of one tag: charts and other artifacts, what one can download, and how to pull."""

from __future__ import annotations

import json

import pytest

from tests.support.attestations import IMAGE, PAGE, adopt, page
from tests.web.graph import OCI, OCI_CONFIG

# -- charts and other artifacts --------------------------------------------------


def with_chart(graph, metadata):
    config = graph.blob(metadata, "application/vnd.cncf.helm.config.v1+json")
    layer = graph.blob(b"tar", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    return graph.store(OCI, {"schemaVersion": 2, "config": config, "layers": [layer]})


def test_a_chart_is_shown_as_what_its_chart_yaml_says(reader_site, graph):
    metadata = {
        "name": "shop",
        "version": "1.2.3",
        "appVersion": "9",
        "description": "Sells <b>fruit</b>",
        "home": "https://shop.example/",
        "sources": ["javascript:alert(1)", "https://git.example/shop"],
        "maintainers": [{"name": "Alice", "email": "alice@shop.example", "url": "javascript:x"}, 7],
        "dependencies": [{"name": "redis", "version": "1.x", "repository": "oci://charts.example"}],
        "deprecated": True,
    }
    graph.tag(IMAGE, v1=with_chart(graph, metadata))
    adopt(reader_site)
    shown = page(reader_site)
    assert (shown.facts["Name"], shown.facts["Version"]) == ("shop", "1.2.3")
    assert shown.facts["Version of the application"] == "9"
    assert "Sells <b>fruit</b>" in shown.text
    assert "Alice" in shown.facts["Maintainers"]
    assert shown.table("Dependencies") == [
        {"Chart": "redis", "Version": "1.x", "Repository": "oci://charts.example"}
    ]
    assert "deprecated" in shown.text
    links = set(shown.links.values())
    assert {"https://shop.example/", "https://git.example/shop"} <= links
    assert not [url for url in links if url.startswith("javascript")]
    assert "helm install my-release oci://" in shown.text


@pytest.mark.parametrize("body", [b"", b"[]", b'{"maintainers": 7}', b"{" * 100_000])
def test_a_chart_whose_config_is_no_chart_is_shown_all_the_same(reader_site, graph, body):
    graph.tag(IMAGE, v1=with_chart(graph, body))
    adopt(reader_site)
    assert page(reader_site).facts["Digest"].startswith("sha256:")


def test_the_files_of_an_artifact_are_listed_by_their_titles(reader_site, graph):
    layer = graph.blob(b"hello", "text/plain", **{"org.opencontainers.image.title": "notes.txt"})
    graph.tag(IMAGE, v1=graph.artifact(layer, artifactType="application/vnd.acme.notes"))
    adopt(reader_site)
    (row,) = page(reader_site).table("Files")
    assert (row["File"], row["Media type"], row["Size"]) == ("notes.txt", "text/plain", "5 B")
    assert page(reader_site).facts["Artifact type"] == "application/vnd.acme.notes"
    assert "oras pull" in page(reader_site).text


# -- downloads -------------------------------------------------------------------


@pytest.mark.both_databases
def test_manifests_and_configs_are_downloaded_byte_for_byte_and_harmless(attested_site, graph):
    whole = graph.tags[IMAGE]["v1"]
    index = json.loads(graph.manifests[whole][1])
    platform = index["manifests"][0]["digest"]
    inner = graph.manifests[platform][1]
    browser = attested_site.browser("reader")
    wanted = {
        "manifest": graph.manifests[whole][1],
        f"manifest?platform={platform}": inner,
        "config": graph.blobs[json.loads(inner)["config"]["digest"]],
    }
    for rest, body in wanted.items():
        answer = browser.get(f"{PAGE}/-/{rest}")
        assert answer.data == body
        kind = rest.partition("?")[0]
        disposition = f'attachment; filename="app-v1-{kind}.json"'
        assert answer.headers["Content-Disposition"] == disposition
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype == "application/json"
    links = page(attested_site).links
    assert links["Download the index"] == f"{PAGE}/-/manifest"
    assert links["Download the manifest"] == f"{PAGE}/-/manifest?platform={platform}"
    assert links["Download the config"] == f"{PAGE}/-/config?platform={platform}"


@pytest.mark.parametrize("platform", ["x", "sha256:" + "0" * 64, "\0", "../..", "a" * 5000])
def test_what_the_index_does_not_have_is_not_there_to_download(attested_site, platform):
    for rest in ("manifest", "config", "sbom"):
        answer = attested_site.browser("reader").get(
            f"{PAGE}/-/{rest}", query_string={"platform": platform}
        )
        assert answer.status_code == 404, rest


def test_a_tag_that_is_not_there_has_nothing_to_download(attested_site):
    for rest in ("manifest", "config", "sbom"):
        answer = attested_site.browser("reader").get(f"/{IMAGE}/-/tags/none/-/{rest}")
        assert answer.status_code == 404, rest


# -- how to pull -----------------------------------------------------------------


def test_there_is_a_line_for_every_client_by_tag_and_by_digest(attested_site, graph):
    text = page(attested_site).text
    host = attested_site.app.config["SETTINGS"].registry_host
    whole = graph.tags[IMAGE]["v1"]
    for start in ("docker pull", "podman pull", "image:", "FROM"):
        for reference in (f"{host}/{IMAGE}:v1", f"{host}/{IMAGE}@{whole}"):
            assert f"{start} {reference}" in text


def test_labels_of_the_specification_have_words(reader_site, graph):
    labels = {"org.opencontainers.image.licenses": "MIT", "org.opencontainers.image.x": "y"}
    graph.tag(IMAGE, v1=graph.image("one", config={"Labels": labels}))
    adopt(reader_site)
    found = {row["Label"]: row["Value"] for row in page(reader_site).table("Labels")}
    assert found == {
        "Licenses org.opencontainers.image.licenses": "MIT",
        "org.opencontainers.image.x": "y",
    }


def test_a_manifest_is_printed_for_reading(reader_site, graph):
    body = json.dumps({"seed": 1, "config": {"mediaType": OCI_CONFIG}}).encode()
    graph.tag(IMAGE, v1=graph.store(OCI, body))
    adopt(reader_site)
    (text,) = [
        e.parts for e in page(reader_site).all("pre") if e.attrs.get("aria-label") == "Manifest"
    ]
    assert '"seed": 1,\n' in text[0].parts[0]
