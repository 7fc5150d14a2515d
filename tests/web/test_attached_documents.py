"""What is attached to an image: SBOMs, provenance, and signatures, also hostile ones."""

from __future__ import annotations

import base64
import json

import pytest

from registry_ui.artifacts.sbom import Package, packages_of
from registry_ui.db.session import db
from registry_ui.formatting import DASH
from registry_ui.models import AttachedDocument, ContainerImage
from tests.support.attestations import (
    IMAGE,
    IN_TOTO,
    PACKAGES,
    PAGE,
    PLATFORM,
    PROVENANCE,
    SLSA,
    SPDX,
    adopt,
    page,
)
from tests.unit.hostile_registry import Answer
from tests.web.graph import OCI, OCI_CONFIG, sha256

# -- what is attached ------------------------------------------------------------


def test_the_provenance_says_who_built_what_and_when(attested_site):
    shown = page(attested_site)
    assert shown.facts["Builder"] == "https://builder.example/run/1"
    assert shown.links["https://git.example/a/b"] == "https://git.example/a/b"
    assert shown.facts["Revision"] == "c0ffee"
    assert shown.facts["Build type"] == "https://builds.example/v1"
    (started,) = [t for t in shown.all("time") if "2026-11-02 09:00:00" in t.attrs["title"]]
    assert started.attrs["datetime"] == "2026-11-02T09:00:00Z"
    rows = {row["Parameter"]: row["Value"] for row in shown.table("Parameters of the build")}
    assert rows == {"frontend": "dockerfile.v0", "target": "prod"}


def test_the_sbom_is_counted_by_type_and_each_type_leads_to_its_packages(attested_site):
    shown = page(attested_site)
    assert "3 packages: 2 deb, 1 npm" in shown.text
    assert [r["Package"] for r in page(attested_site, shown.links["npm"]).table("Packages")] == [
        "left-pad"
    ]


def test_the_packages_are_searched_and_filtered_and_paged(reader_site, graph):
    many = [{**PACKAGES[0], "name": f"lib{n:03}"} for n in range(230)]
    whole, _ = graph.attested(lambda about: graph.sbom([*many, *PACKAGES], about))
    graph.tag(IMAGE, v1=whole)
    adopt(reader_site)
    first = page(reader_site, f"{PAGE}/-/sbom")
    rows = first.table("Packages")
    assert len(rows) == 100
    assert rows[0] == {"Package": "bash", "Version": "5.2", "Type": "deb", "License": "GPL-3.0"}
    assert "Page 1 of 3, 233 packages" in first.text
    assert len(page(reader_site, f"{PAGE}/-/sbom?page=3").table("Packages")) == 33
    gone = reader_site.browser("reader").get(f"{PAGE}/-/sbom?page=99&q=")
    assert gone.headers["Location"] == f"{PAGE}/-/sbom?page=3"
    found = page(reader_site, f"{PAGE}/-/sbom?q=GPL").table("Packages")
    assert [row["Package"] for row in found] == ["bash"]
    found = page(reader_site, f"{PAGE}/-/sbom?q=lib22&type=deb").table("Packages")
    assert len(found) == 10
    assert "No package matches" in page(reader_site, f"{PAGE}/-/sbom?type=cargo").text


def test_an_image_without_an_sbom_says_how_to_attach_one(reader_site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(reader_site)
    text = page(reader_site, f"{PAGE}/-/sbom").text
    assert "No SBOM is attached" in text
    assert "docker buildx build --sbom=true" in text
    assert "/-/sbom" not in "".join(page(reader_site).links.values())


COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json"


def test_a_signature_leads_to_what_it_signs_and_runs_nothing(reader_site, graph):
    """Cosign gives it the config of an image, in which nothing stands."""
    image = graph.image("one")
    proof = graph.artifact(graph.blob({"signed": True}, COSIGN), config=OCI_CONFIG)
    tag = image.replace(":", "-") + ".sig"
    graph.tag(IMAGE, **{"v1": image, "latest": image, tag: proof})
    adopt(reader_site)
    shown = page(reader_site, f"/{IMAGE}/-/tags/{tag}")
    assert "signature" in shown.text
    assert shown.facts["Attached to"].startswith("latest, v1")
    assert shown.links["v1"] == PAGE
    assert "Working directory" not in shown.facts
    assert page(reader_site).facts["Working directory"] == "/"
    assert "Attached to" not in page(reader_site).facts


def test_an_artifact_with_a_subject_names_it_even_where_no_tag_stands_for_it(reader_site, graph):
    about = {"mediaType": OCI, "digest": sha256(b"gone"), "size": 1}
    graph.tag(IMAGE, v1=graph.artifact(graph.blob({}), subject=about))
    adopt(reader_site)
    fact = page(reader_site).facts["Attached to"]
    assert fact.startswith(sha256(b"gone").partition(":")[2][:12])
    assert "no tag stands for" in fact


def test_documents_are_fetched_once_and_then_known(attested_site, registry):
    first = page(attested_site)
    registry.asked.clear()
    assert page(attested_site).text == first.text
    assert [asked.path for asked in registry.asked] == [f"/v2/{IMAGE}/manifests/v1"]
    registry.asked.clear()
    page(attested_site, f"{PAGE}/-/sbom")
    assert [asked.path for asked in registry.asked] == [f"/v2/{IMAGE}/manifests/v1"]


def test_while_the_registry_is_down_everything_is_shown_as_last_known(attested_site, registry):
    page(attested_site)
    registry.answer = lambda _asked: Answer(503)
    shown = page(attested_site)
    assert "Retry" in shown.links
    assert shown.facts["Revision"] == "c0ffee"
    packages = page(attested_site, f"{PAGE}/-/sbom")
    assert "Retry" in packages.links
    assert len(packages.table("Packages")) == 3
    answer = attested_site.browser("reader").get(f"{PAGE}/-/manifest")
    assert answer.status_code == 200


def test_who_may_not_pull_sees_what_is_attached_but_nothing_of_what_it_says(attested_site):
    page(attested_site)
    shown = page(attested_site, who="visitor")
    assert "Attestation" in shown.section("Attached to this image")
    for words in ("builder.example", "packages", "c0ffee", "dockerfile"):
        assert words not in shown.text
    for rest in ("sbom", "manifest", "config"):
        assert attested_site.browser("visitor").get(f"{PAGE}/-/{rest}").status_code == 403


def test_the_packages_are_there_for_a_platform_and_for_its_index(attested_site, graph):
    whole = graph.tags[IMAGE]["v1"]
    page(attested_site)
    (platform,) = [
        child["digest"]
        for child in json.loads(graph.manifests[whole][1])["manifests"]
        if child["platform"] == PLATFORM
    ]
    with attested_site.app.app_context():
        image = db.session.query(ContainerImage).one()
        found = packages_of(image, whole)
        assert found[0] == Package("bash", "5.2", "deb", "GPL-3.0")
        assert [package.license_name for package in found] == ["GPL-3.0", "", "Zlib"]
        assert packages_of(image, platform) == found
        assert packages_of(image, "sha256:" + "0" * 64) is None


CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "components": [
        {
            "type": "library",
            "group": "org.acme",
            "name": "tool",
            "version": "2",
            "purl": "pkg:maven/org.acme/tool@2",
            "licenses": [{"license": {"id": "MIT"}}, {"expression": "Apache-2.0"}],
            "components": [{"type": "library", "name": "inner", "purl": "pkg:npm/inner"}],
        },
        {"type": "file", "name": "/etc/passwd"},
    ],
}


def envelope(body):
    payload = base64.b64encode(json.dumps(body).encode()).decode()
    return {"payloadType": IN_TOTO, "payload": payload, "signatures": []}


#: Where clients put an SBOM beside an image: media type and body of the layer, and the tag.
PLACES = {
    "attested by cosign": (
        "application/vnd.dsse.envelope.v1+json",
        envelope({"predicateType": "https://cyclonedx.org/bom", "predicate": CYCLONEDX}),
        ".att",
    ),
    "attached by cosign": ("application/vnd.cyclonedx+json", CYCLONEDX, ".sbom"),
    "a referrer": ("application/vnd.cyclonedx+json", CYCLONEDX, ""),
}


@pytest.mark.parametrize("name", PLACES)
def test_an_sbom_is_found_wherever_clients_put_it(reader_site, graph, name):
    media_type, body, suffix = PLACES[name]
    image = graph.image("one")
    holder = graph.artifact(graph.blob(body, media_type), artifactType=media_type)
    if not suffix:
        holder = graph.index(holder)
    graph.tag(IMAGE, v1=image, **{image.replace(":", "-") + suffix: holder})
    adopt(reader_site)
    rows = page(reader_site, f"{PAGE}/-/sbom").table("Packages")
    assert rows == [
        {"Package": "inner", "Version": DASH, "Type": "npm", "License": DASH},
        {"Package": "org.acme/tool", "Version": "2", "Type": "maven", "License": "MIT, Apache-2.0"},
    ]
    assert "2 packages" in page(reader_site).section("Attached to this image")


# -- what nobody should trust ----------------------------------------------------

HOSTILE = {
    "brackets": b"[" * 4_000_000,
    "many parts": b'{"spdxVersion": "SPDX-2.3", "packages": [' + b"{}," * 1_000_000 + b"{}]}",
    "no JSON": b"<script>alert(1)</script>",
    "deep": b'{"predicateType": "https://spdx.dev/Document", "predicate": ' + b"[" * 90_000,
    "other shapes": json.dumps(
        {"predicateType": SPDX, "subject": 7, "predicate": {"spdxVersion": "x", "packages": {}}}
    ).encode(),
    "packages of nothing": json.dumps(
        {"spdxVersion": "SPDX-2.3", "packages": [7, None, {"name": 5}, {"name": "\0"}]}
    ).encode(),
    "an envelope of noise": b'{"payload": "%%%%"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_document_that_cannot_be_read_leaves_a_page_that_can(reader_site, graph, name):
    whole, _ = graph.attested(
        graph.blob(HOSTILE[name]), lambda about: graph.statement(SLSA, PROVENANCE, about)
    )
    graph.tag(IMAGE, v1=whole)
    adopt(reader_site)
    for _ in range(2):
        assert page(reader_site).facts["Revision"] == "c0ffee"
    assert page(reader_site, f"{PAGE}/-/sbom").all("script") == page(reader_site, "/").all("script")


def test_a_document_that_is_not_what_its_digest_says_is_not_believed(reader_site, graph):
    whole, _ = graph.attested(lambda about: graph.sbom(PACKAGES, about))
    graph.tag(IMAGE, v1=whole)
    digest = next(d for d, body in graph.blobs.items() if b"spdxVersion" in body)
    graph.blobs[digest] = graph.blobs[digest].replace(b"bash", b"evil")
    adopt(reader_site)
    shown = page(reader_site)
    assert "is not what its digest" in shown.text
    assert "evil" not in page(reader_site, f"{PAGE}/-/sbom").text
    assert reader_site.rows(AttachedDocument) == []


def test_a_document_that_is_too_large_is_named_and_not_fetched(reader_site, graph, registry):
    layer = {**graph.blob({}), "size": 5_000_000}
    whole, _ = graph.attested(layer)
    graph.tag(IMAGE, v1=whole)
    adopt(reader_site)
    registry.asked.clear()
    assert "too large to be read" in page(reader_site).text
    assert not [a for a in registry.asked if layer["digest"] in a.path]


def test_provenance_with_scripts_and_dates_that_cannot_be_is_text(reader_site, graph):
    hostile = {
        "builder": {"id": "javascript:alert(1)"},
        "buildType": "<script>alert(2)</script>",
        "invocation": {
            "configSource": {"uri": "git+javascript:alert(3)", "digest": {"sha1": "<b>x</b>"}},
            "parameters": {"args": {f"<i>{n}": ["x"] for n in range(1000)}, "a": "<img src=x>"},
        },
        "metadata": {
            "buildStartedOn": "9999-12-31T23:59:59-14:00",
            "buildFinishedOn": {"a": "b"},
        },
        "materials": "none",
    }
    whole, _ = graph.attested(
        lambda about: graph.statement("https://slsa.dev/provenance/v0.2", hostile, about)
    )
    graph.tag(IMAGE, v1=whole)
    adopt(reader_site)
    shown = page(reader_site)
    assert shown.facts["Builder"] == "javascript:alert(1)"
    assert shown.facts["Source"] == "javascript:alert(3)"
    assert shown.facts["Build started"] == "not recorded"
    assert shown.facts["Build type"] == "<script>alert(2)</script>"
    assert not [url for url in shown.links.values() if "javascript" in url]


def test_a_statement_about_another_image_is_called_so(reader_site, graph):
    other = "sha256:" + "0" * 64
    whole, _ = graph.attested(lambda _about: graph.sbom(PACKAGES, other))
    graph.tag(IMAGE, v1=whole)
    adopt(reader_site)
    assert "speaks of another image" in page(reader_site).text


def test_a_document_read_elsewhere_opens_nothing_here(attested_site, graph):
    """Whoever names the digest of another project's SBOM learns nothing that it holds."""
    page(attested_site)
    sbom = next(d for d, body in graph.blobs.items() if b"spdxVersion" in body)
    body = graph.blobs.pop(sbom)
    pointer = {"mediaType": IN_TOTO, "digest": sbom, "size": len(body)}
    attested_site.users("thief")
    attested_site.project("thief/loot")
    attested_site.member("thief/loot", "thief", "owner")
    whole, _ = graph.attested(pointer, seed="two")
    graph.tag("thief/loot", v1=whole)
    adopt(attested_site)
    assert "bash" not in page(attested_site, "/thief/loot/-/tags/v1/-/sbom", "thief").text
