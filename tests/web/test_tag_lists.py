"""An image's list of tags and a project's tree: what they cost, how they sort, what they find."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from registry_ui.formatting import DASH
from registry_ui.models import (
    ContainerImage,
    IndexChild,
    Manifest,
    Project,
    RepositoryManifest,
    Tag,
)
from registry_ui.tags import rows as said
from tests.support.html import Page, rows_of_tags
from tests.unit.hostile_registry import Answer
from tests.web.support import OCI_INDEX, OCI_MANIFEST, digest

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IMAGE = "acme/app/web"
LIST = "/acme/app/-/images/web"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def site(served):
    served.user("admin", admin=True)
    served.project("acme/app")
    return served


def manifest(name, size, children=(), **more):
    """A stored manifest; an index has children and no size of its own."""
    facts = {
        "kind": "index" if children else "image",
        "media_type": OCI_INDEX if children else OCI_MANIFEST,
        "artifact_type": more.get("artifact_type", ""),
        "config": {"digest": digest("9"), "media_type": "text/plain", "size": size or 0},
        "layers": [],
        "children": [
            {"digest": digest(child), "media_type": OCI_MANIFEST, "size": 1, "platform": platform}
            for child, platform in children
        ],
        "annotations": {},
        "subject": "",
        "problems": [],
    }
    kind, media_type = facts["kind"], facts["media_type"]
    made = {"kind": kind, "media_type": media_type, "size": size, "facts": facts, "body": b"{}"}
    return Manifest(digest=digest(name), has_config=True, **made)


def fill(site, tags, *manifests, path=IMAGE, held=""):
    """Put an image into the index: rows of tags by name, and what the store knows."""
    with site.session() as session:
        site_image = ContainerImage(
            project_id=site_project(session), name=path[9:], path=path, tag_count=len(tags)
        )
        session.add(site_image)
        session.add_all(manifests)
        session.flush()
        for name, values in tags.items():
            session.add(Tag(image_id=site_image.id, name=name, **values))
        for letter in held:
            session.add(RepositoryManifest(image_id=site_image.id, digest=digest(letter)))
        session.commit()


def site_project(session):
    return session.scalars(select(Project.id).where(Project.path == "acme/app")).one()


def lists(registry, *tags):
    """Let the registry list these tags, and know nothing else."""
    registry.answer = lambda asked: (
        Answer(200, {"name": IMAGE, "tags": list(tags)}, JSON)
        if asked.path.endswith("/tags/list")
        else Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}, JSON)
    )


def names(site, query=""):
    answer = site.browser("admin").get(f"{LIST}{query}")
    assert answer.status_code == 200
    return list(rows_of_tags(Page(answer.text)))


SORTED = {
    "1.9": {"digest": digest("a"), "pushed_at": NOW, "pull_count": 3},
    "1.10": {"digest": digest("b"), "pushed_at": None, "pull_count": 7, "last_pulled_at": NOW},
    "2.0-rc1": {
        "digest": digest("c"),
        "pushed_at": NOW + timedelta(days=1),
        "pull_count": 5,
        "last_pulled_at": NOW - timedelta(days=1),
    },
    "2.0": {"digest": digest("d"), "pushed_at": None, "pull_count": 0},
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "1.9 1.10 2.0-rc1 2.0"),
        ("?order=desc", "2.0 2.0-rc1 1.10 1.9"),
        ("?sort=pushed", "1.9 2.0-rc1 1.10 2.0"),
        ("?sort=pushed&order=desc", "2.0-rc1 1.9 2.0 1.10"),
        ("?sort=pulled", "2.0-rc1 1.10 1.9 2.0"),
        ("?sort=pulled&order=desc", "1.10 2.0-rc1 2.0 1.9"),
        ("?sort=pulls&order=desc", "1.10 2.0-rc1 1.9 2.0"),
        ("?sort=size", "2.0-rc1 1.9 1.10 2.0"),
        ("?sort=size&order=desc", "1.9 2.0-rc1 2.0 1.10"),
        ("?sort=nonsense&order=nonsense&page=nonsense", "1.9 1.10 2.0-rc1 2.0"),
        ("?q=RC", "2.0-rc1"),
        ("?q=1.*", "1.9 1.10"),
        ("?q=?.?", "1.9 2.0"),
        ("?q=1.&sort=pulls", "1.9 1.10"),
    ],
)
def test_tags_are_sorted_and_filtered_over_all_and_what_is_not_known_comes_last(
    site, registry, query, expected
):
    fill(site, SORTED, manifest("a", 700), manifest("c", 30))
    lists(registry, *SORTED)
    assert names(site, query) == expected.split()


def test_what_a_rule_keeps_is_marked_and_the_strictest_rule_marks_it(site, registry):
    fill(site, {name: {"digest": digest("a")} for name in ("v1", "v2", "latest", "main")})
    lists(registry, "v1", "v2", "latest", "main")
    site.rule("acme/app", "v*", "owner")
    site.rule("acme/app", "v1")
    site.rule("acme/app", "latest", "maintainer")
    site.rule("acme/app", "main", images="other")
    page = Page(site.browser("admin").get(LIST).text)
    marks = {"v1": "immutable", "v2": "Owners only", "latest": "Maintainers only", "main": ""}
    for name, row in rows_of_tags(page).items():
        found = [mark for mark in filter(None, marks.values()) if mark in row["Tag"]]
        assert found == [marks[name]] * bool(marks[name]), name
    tag = Page(site.browser("admin").get(f"{LIST}/-/tags/v1").text)
    said = tag.first("main").text
    assert "Rule: Is never overwritten or deleted. Not enforced: pushes that break it" in said


def test_the_header_says_by_what_and_which_way_it_is_sorted(site, registry):
    fill(site, SORTED)
    lists(registry, *SORTED)
    page = Page(site.browser("admin").get(f"{LIST}?sort=pulled&order=desc").text)
    sorted_by = {th.text: th.attrs.get("aria-sort") for th in page.all("thead")[0].all("th")}
    assert {name: way for name, way in sorted_by.items() if way} == {"Last pull": "descending"}


def test_five_thousand_tags_cost_one_call_and_as_many_queries_as_one(site, registry):
    fill(site, {"1.0.0": {"digest": digest("a")}}, manifest("a", 1))
    lists(registry, "1.0.0")
    names(site)
    with site.statements() as few:
        names(site)
    versions = [f"1.{minor}.{patch}" for minor in range(50) for patch in range(100)]
    with site.session() as session:
        image_id = session.scalars(select(ContainerImage.id)).one()
        rows = [
            {"image_id": image_id, "name": name, "digest": digest("a"), "pushed_at": NOW}
            for name in versions[1:]
        ]
        session.execute(insert(Tag), rows)
        session.commit()
    lists(registry, *versions)
    registry.asked.clear()
    with site.statements() as many:
        assert names(site, "?page=100") == versions[-50:]
    assert [asked.path for asked in registry.asked] == [f"/v2/{IMAGE}/tags/list"]
    assert len(many) == len(few)
    text = site.browser("admin").get(LIST).text
    assert "4,994 more" in text, "the other tags of a digest are not all named in every row"
    assert len(text) < 250_000


def test_one_row_is_tried_again_alone(site, registry):
    fill(site, {"1.0": {"digest": digest("a")}, "2.0": {"digest": digest("b")}})
    lists(registry, "1.0", "2.0")
    browser = site.browser("admin")
    page = Page(browser.get(LIST).text)
    retry = next(a for a in page.all("a") if a.text == "Retry 1.0")
    assert retry.attrs["href"] == LIST
    registry.asked.clear()
    answer = browser.get(retry.attrs["hx-get"])
    assert [element.tag for element in Page(answer.text).parts if not isinstance(element, str)] == [
        "tr"
    ]
    assert "Retry 1.0" in Page(answer.text).text
    asked = {asked.path for asked in registry.asked}
    assert asked == {
        f"/v2/{IMAGE}/manifests/{digest('a')}",
        # It failed again: is it the tag that can't be read, or does the registry not answer?
        f"/v2/{IMAGE}/manifests/1.0",
        f"/v2/{IMAGE}/tags/list",
    }
    with site.session() as session:
        session.add(manifest("a", 12_345))
        session.commit()
    text = Page(browser.get(retry.attrs["hx-get"]).text).text
    assert "12.3 kB" in text
    assert "Retry" not in text
    assert browser.get(f"{LIST}/-/rows/3.0").status_code == 404


# -- marks -----------------------------------------------------------------------


def test_a_signature_in_an_index_of_referrers_is_a_signature(site, registry):
    signs = manifest("c", 5)
    signs.facts["kind"] = "signature"
    tags = {
        "1.0": {"digest": digest("a")},
        "2.0": {"digest": digest("b")},
        digest("a").replace(":", "-"): {"digest": digest("d")},
    }
    facts = (manifest("a", 1), manifest("b", 1), signs, manifest("d", None, [("c", "")]))
    fill(site, tags, *facts, held="c")
    lists(registry, *tags)
    found = rows_of_tags(Page(site.browser("admin").get(LIST).text))
    assert set(found) == {"1.0", "2.0"}
    assert "signature" in found["1.0"]["Tag"]
    assert "1 attached" in found["1.0"]["Tag"]
    assert "signature" not in found["2.0"]["Tag"]


@pytest.mark.parametrize(
    ("name", "signed", "has_sbom"),
    [("sig", True, False), ("sbom", False, True), ("att", False, False)],
)
def test_cosigns_tags_tell_by_their_names_what_they_hold(name, signed, has_sbom):
    row = said.TagRow("1.0", digest("a"))
    said.add_attachment_flags(row, {f"sha256-x.{name}": digest("b")}, {})
    assert (row.signed, row.has_sbom) == (signed, has_sbom)


# -- the tree --------------------------------------------------------------------


def tree(site, query=""):
    answer = site.browser("admin").get(f"/acme/app{query}")
    assert answer.status_code == 200
    return Page(answer.text)


def test_the_size_of_an_image_is_that_of_the_tag_that_was_pushed_last(site, registry):
    """Of an index, that is the size of its largest platform that was read from this image."""
    tags = {
        "old": {"digest": digest("a"), "pushed_at": NOW},
        "new": {"digest": digest("d"), "pushed_at": NOW + timedelta(days=1)},
        f"sha256-{'d' * 64}.sig": {"digest": digest("e"), "pushed_at": NOW + timedelta(days=2)},
    }
    children = [("b", "linux/amd64"), ("c", "linux/arm64"), ("f", "linux/s390x")]
    children.append(("0", "unknown/unknown"))
    facts = [
        manifest(letter, size) for letter, size in zip("abcef0", (1, 20, 300, 4, 5, 6), strict=True)
    ]
    fill(site, tags, *facts, manifest("d", None, children), held="bc0")
    page = tree(site)
    assert "300 B" in page.text
    assert registry.asked == []


def test_without_a_push_that_was_told_it_is_that_of_the_tag_found_last(site):
    tags = {"2.0": {"digest": digest("a")}, "1.0": {"digest": digest("b")}}
    fill(site, tags, manifest("a", 111), manifest("b", 222))
    assert "222 B" in tree(site).text


def test_a_size_that_is_not_known_is_a_dash(site):
    fill(site, {"1.0": {"digest": digest("a")}})
    sizes = [e.text for e in tree(site).walk() if e.attrs.get("class") == "size"]
    assert sizes == ["Size", DASH]


def test_the_tree_is_filtered_and_sorted_by_the_address(site):
    for letter, name in zip("abc", ("team/api", "team/web", "other"), strict=True):
        tags = {"1.0": {"digest": digest(letter)}}
        fill(site, tags, manifest(letter, ord(letter)), path=f"acme/app/{name}")
    page = tree(site, "?q=*/*&sort=size&order=desc")
    labels = [e.text for e in page.walk() if e.attrs.get("class") == "label"]
    assert labels == ["Name", "team", "web", "api"]
    assert "2 of 3 images match “*/*”" in page.text
    assert all("open" in d.attrs for d in page.all("details") if "folder:team" in d.attrs.values())
    assert "No image matches “zzz”." in tree(site, "?q=zzz").text
    folder = Page(site.browser("admin").get("/acme/app/-/images/team?q=web").text)
    assert "1 of 2 images matches “web”" in folder.text


def test_what_is_typed_is_shown_as_text(site, registry):
    fill(site, {"1.0": {"digest": digest("a")}})
    lists(registry, "1.0")
    for address in ("/acme/app", LIST):
        answer = site.browser("admin").get(f"{address}?q=%22%3E%3Cscript%3Ealert(1)")
        assert "<script>alert" not in answer.text
        assert '“"><script>alert(1)”' in Page(answer.text).text


def test_five_hundred_images_cost_no_call_and_as_many_queries_as_one(site, registry):
    fill(site, {"1.0": {"digest": digest("a"), "pushed_at": NOW}}, manifest("a", 1))
    with site.statements() as few:
        tree(site)
    with site.session() as session:
        project = site_project(session)
        images = [
            ContainerImage(
                project_id=project, name=f"t{n % 9}/i{n}", path=f"acme/app/t{n % 9}/i{n}"
            )
            for n in range(500)
        ]
        session.add_all(images)
        session.flush()
        rows = [
            {"image_id": image.id, "name": "1.0", "digest": digest("a"), "pushed_at": NOW}
            for image in images
        ]
        session.execute(insert(Tag), rows)
        session.commit()
    with site.statements() as many:
        page = tree(site)
    assert "501 images" in page.text
    assert len(many) == len(few)
    assert registry.asked == []


def built(made, days):
    made.built_at = NOW - timedelta(days=days)
    return made


def test_tags_whose_push_is_not_recorded_are_sorted_by_the_build_that_the_list_shows(
    site, registry
):
    tags = {
        "old": {"digest": digest("a")},
        "multi": {"digest": digest("d")},
        "pushed": {"digest": digest("f"), "pushed_at": NOW - timedelta(days=4)},
        "new": {"digest": digest("b")},
    }
    manifests = [
        built(manifest("a", 1), 5),
        built(manifest("b", 1), 1),
        manifest("d", None, [("e", "linux/amd64")]),
        built(manifest("e", 1), 3),
    ]
    fill(site, tags, *manifests, held="e")
    with site.session() as session:
        session.add(IndexChild(child=digest("e"), parent=digest("d")))
        session.commit()
    lists(registry, *tags)
    assert names(site, "?sort=pushed&order=desc") == ["new", "multi", "pushed", "old"]
    assert names(site, "?sort=pushed&order=asc") == ["old", "pushed", "multi", "new"]
