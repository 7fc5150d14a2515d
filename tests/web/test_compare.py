"""Any two tags side by side: what is said of them."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from registry_ui.comparison import page as comparing
from tests.support.comparison import URL, blob, compare, image
from tests.support.html import Page
from tests.web.graph import OCI, sha256

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


# -- what it says ----------------------------------------------------------------


def test_it_says_what_a_pull_costs_who_has_the_other(two_projects):
    page = compare(two_projects, "acme/app:1.0", "acme/app:2.0")
    assert "+699.5 kB, 1 new layer, 1 shared, 1 gone" in page.text
    assert "someone who has :1.0 fetches 700." in page.text


def test_every_layer_stands_once_and_says_where_it_is(two_projects):
    rows = compare(two_projects, "acme/app:1.0", "acme/app:2.0").table("Layers of both")
    assert [(row["Layer"], row["Made by"], row["Change"]) for row in rows] == [
        ("shared", "RUN base", DASH),
        ("gone", "RUN old", f"{MINUS}500 B"),
        ("new", "RUN new", "+700.0 kB"),
    ]


def test_settings_and_environment_say_what_was_added_removed_and_changed(two_projects):
    page = compare(two_projects, "acme/app:1.0", "acme/app:2.0")
    assert page.table("Environment that differ") == [
        {"Variable": "B", "From": "2", "To": DASH, "Change": "removed"},
        {"Variable": "C", "From": DASH, "To": "3", "Change": "added"},
    ]
    assert page.table("Environment, unchanged") == [{"Variable": "A", "Value": "1"}]
    settings = {row["Setting"]: row for row in page.table("Settings that differ")}
    assert (settings["Command"]["From"], settings["Command"]["To"]) == ('["one"]', '["two"]')
    assert settings["Port"]["To"] == "80/tcp"


def test_the_history_is_shown_as_lines_that_came_and_went(two_projects):
    page = compare(two_projects, "acme/app:1.0", "acme/app:2.0")
    assert [e.text for e in page.all("del")] == ["removed: RUN old"]
    assert [e.text for e in page.all("ins")] == ["added: RUN new"]


def test_one_digest_under_two_tags_is_called_identical(two_projects):
    page = compare(two_projects, "acme/app:1.0", "acme/app:again")
    assert "Identical: both are the same digest" in page.text
    assert "RUN base" not in page.text


def test_images_of_two_projects_are_compared_and_the_sides_can_be_swapped(two_projects):
    page = compare(two_projects, "acme/app:1.0", "other/tool:1.0")
    assert "1 new layer, 0 shared, 2 gone" in page.text
    swapped = Page(two_projects.browser("admin").get(page.links["Swap sides"]).text)
    assert "2 new layers, 0 shared, 1 gone" in swapped.text


def test_references_are_taken_as_people_paste_them(two_projects):
    host = two_projects.app.config["SETTINGS"].registry_host
    digest = two_projects.graph.tags["acme/app"]["2.0"]
    wanted = compare(two_projects, "acme/app:1.0", "acme/app:2.0").table("Layers of both")
    for old, new in (
        (f"docker pull {host}/acme/app:1.0", f"{host}/acme/app@{digest}"),
        ("acme/app:1.0", "2.0"),
        (":1.0", "acme/app:2.0"),
        ("acme/app:1.0", digest),
        ("acme/app:1.0", f"@{digest}"),
    ):
        assert compare(two_projects, old, new).table("Layers of both") == wanted, (old, new)


def test_a_name_without_a_tag_means_latest_as_for_docker(two_projects):
    two_projects.graph.tag("acme/app", latest=two_projects.graph.tags["acme/app"]["1.0"])
    assert "Identical" in compare(two_projects, "acme/app", "acme/app:1.0").text


def test_the_one_tag_offers_the_others_of_its_image(two_projects):
    page = compare(two_projects, "acme/app:1.0", "")
    links = {words: link for words, link in page.links.items() if words.startswith("Compare with")}
    assert set(links) == {"Compare with 2.0", "Compare with againsame image"}
    target = Page(two_projects.browser("admin").get(links["Compare with 2.0"]).text)
    assert "1 new layer, 1 shared" in target.text
    other = compare(two_projects, "", "acme/app:2.0").links["Compare with 1.0"]
    assert other == "/-/compare?from=acme/app:1.0&to=acme/app:2.0"


def test_the_page_of_a_tag_and_every_row_lead_here(two_projects):
    page = Page(two_projects.browser("developer").get("/acme/app/-/tags/1.0").text)
    (form,) = [f for f in page.all("form") if f.attrs.get("action") == URL]
    assert [i.attrs["value"] for i in form.all("input") if i.attrs.get("type") == "hidden"] == [
        "acme/app:1.0"
    ]
    rows = Page(two_projects.browser("developer").get("/acme/app/-/images").text)
    assert rows.links["Compare 1.0"] == "/-/compare?from=acme/app:1.0"
    for url in ("/acme/app/-/tags/1.0", "/acme/app/-/images"):
        assert URL not in two_projects.browser("guest").get(url).text


# -- platforms and kinds ---------------------------------------------------------


@pytest.fixture
def several(two_projects):
    """acme/app:multi of two platforms, and acme/app:more of three, in another order."""
    graph = two_projects.graph
    amd, arm = (image(graph, ("base", 10), (p, 5), platform=p) for p in ("amd64", "arm64"))
    newer = image(graph, ("base", 10), ("arm64 2", 7), platform="arm64")
    other = image(graph, ("s390x", 7), platform="s390x")
    graph.tag("acme/app", multi=multi(graph, amd64=amd, arm64=arm))
    graph.tag("acme/app", more=multi(graph, s390x=other, arm64=newer, amd64=amd))
    return two_projects


def multi(graph, **children):
    body = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": OCI,
                "digest": digest,
                "size": 1,
                "platform": {"os": "linux", "architecture": name},
            }
            for name, digest in children.items()
        ],
    }
    return graph.store("application/vnd.oci.image.index.v1+json", body)


def chosen(page):
    return [o.text for s in page.all("select") for o in s.all("option") if "selected" in o.attrs]


def test_the_same_platform_is_chosen_on_both_sides(several):
    page = compare(several, "acme/app:multi", "acme/app:more")
    assert chosen(page) == ["linux/amd64", "linux/amd64"]
    assert "The image for linux/amd64 is identical. Only the indexes around it differ." in page.text
    assert "added linux/s390x" in page.section("Platforms")
    page = compare(several, "acme/app:multi", "acme/app:more", to_platform="linux/arm64")
    assert chosen(page) == ["linux/arm64", "linux/arm64"]
    assert "1 new layer, 1 shared, 1 gone" in page.text
    swapped = Page(several.browser("admin").get(page.links["Swap sides"]).text)
    assert chosen(swapped) == ["linux/arm64", "linux/arm64"]


@pytest.mark.both_databases
def test_two_platforms_may_be_compared_and_that_is_said(several):
    more = {"from_platform": "linux/amd64", "to_platform": "linux/s390x"}
    page = compare(several, "acme/app:multi", "acme/app:more", **more)
    assert "Two different platforms are compared: linux/amd64 and linux/s390x." in page.text


def test_an_image_is_compared_with_the_platform_of_an_index_that_it_is_of(several):
    arm = compare(several, "acme/app:multi", "acme/app:more", from_platform="linux/arm64")
    assert chosen(arm)[1] == "linux/arm64"
    page = compare(several, "acme/app:1.0", "acme/app:more")
    assert chosen(page) == ["linux/amd64"]


def test_a_platform_that_is_not_there_is_ignored(several):
    for platform in ("x", "\0", "sha256:" + "0" * 64, "a" * 5000):
        page = compare(several, "acme/app:multi", "acme/app:more", from_platform=platform)
        assert chosen(page) == ["linux/amd64", "linux/amd64"]


def test_what_has_little_in_common_says_what_can_be_compared(two_projects):
    config = b'{"name": "chart"}'
    two_projects.graph.blobs[sha256(config)] = config
    pointer = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 10}
    body = {"schemaVersion": 2, "config": pointer | {"digest": sha256(config)}}
    layers = [blob("chart", 44)]
    chart = two_projects.graph.store(OCI, body | {"layers": layers, "annotations": {"a": "1"}})
    newer = two_projects.graph.store(OCI, body | {"layers": layers, "annotations": {"a": "2"}})
    two_projects.graph.tag("other/tool", chart=chart, newer=newer)
    page = compare(two_projects, "acme/app:1.0", "other/tool:chart")
    assert "An image and a chart: parts, sizes and annotations are compared" in page.text
    assert "Environment" not in page.text
    page = compare(two_projects, "other/tool:chart", "other/tool:newer")
    assert "Both are of the kind chart" in page.text
    assert page.table("Annotations that differ") == [
        {"Annotation": "a", "From": "1", "To": "2", "Change": "changed"}
    ]


# -- packages --------------------------------------------------------------------


class Package(NamedTuple):
    name: str
    version: str
    type: str = "deb"


@pytest.fixture
def listed(two_projects, monkeypatch):
    """The images have an SBOM each: what ``packages_of`` answers, by digest."""
    tags = two_projects.graph.tags["acme/app"]
    lists = {
        tags["1.0"]: [Package("openssl", "3.0"), Package("zlib", "1.2"), Package("gone", "1")],
        tags["2.0"]: [Package("openssl", "3.1"), Package("zlib", "1.2")]
        + [Package(f"new{n:02}", "1", "npm") for n in range(60)],
    }
    monkeypatch.setattr(comparing, "packages_of", lambda _image, digest: lists.get(digest))
    return two_projects


def test_packages_say_which_came_went_and_changed_their_version(listed):
    page = compare(listed, "acme/app:1.0", "acme/app:2.0")
    assert "60 added, 1 removed, 1 upgraded, 1 unchanged" in page.text
    assert len(page.table("Packages that differ")) == 50
    page = compare(listed, "acme/app:1.0", "acme/app:2.0", page="2")
    assert page.table("Packages that differ")[-1] == {
        "Package": "openssl",
        "Type": "deb",
        "From": "3.0",
        "To": "3.1",
        "Change": "upgraded",
    }


def test_packages_are_searched_by_a_plain_form_that_keeps_the_rest(listed):
    page = compare(listed, "acme/app:1.0", "acme/app:2.0", q="SSL")
    assert [row["Package"] for row in page.table("Packages that differ")] == ["openssl"]
    assert page.hidden["from"] == "acme/app:1.0"
    page = compare(listed, "acme/app:1.0", "acme/app:2.0", q="nothing")
    assert "No package that differs matches “nothing”" in page.text


def test_without_two_sboms_it_says_where_they_come_from(listed):
    page = compare(listed, "acme/app:1.0", "other/tool:1.0")
    assert "where both images have an SBOM" in page.section("Packages")
