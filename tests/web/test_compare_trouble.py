"""Comparisons: who may see them, and what goes wrong."""

from __future__ import annotations

import re

import pytest

from registry_ui.models import ContainerImage, Project, Tag
from tests.support.comparison import URL, compare, image
from tests.support.html import Page
from tests.unit.hostile_registry import Answer
from tests.web.support import ROLES

HOSTILE = "<script>alert(1)</script>\"'><b>"


def test_each_side_needs_the_pull_right_in_its_own_project(two_projects):
    for who in (None, "stranger", *ROLES, "admin"):
        browser = two_projects.browser(who)
        own = browser.get(URL, query_string={"from": "acme/app:1.0", "to": "acme/app:2.0"})
        both = browser.get(URL, query_string={"from": "acme/app:1.0", "to": "other/tool:1.0"})
        statuses = {None: (404, 404), "stranger": (404, 404), "guest": (403, 404)}
        expected = (200, 200) if who == "admin" else statuses.get(who, (200, 404))
        assert (own.status_code, both.status_code) == expected, who
        for answer in (own, both):
            assert (answer.status_code == 200) == ("RUN base" in answer.text), who
    assert "pull needs Reporter" in compare(two_projects, "acme/app:1.0", "2.0", "guest", 403).text


def test_what_may_not_be_seen_looks_like_what_does_not_exist(two_projects):
    def told(reference):
        answer = two_projects.browser("developer").get(
            URL, query_string={"from": reference, "to": "acme/app:1.0"}
        )
        text = re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", answer.text)
        return answer.status_code, text.replace(reference, "REFERENCE")

    hidden = told("other/tool:1.0")
    assert hidden[0] == 404
    assert "There is no such tag here, or you may not see it." in hidden[1]
    for reference in ("other/tool:9.9", "other/none:1.0", "acme/app/x:1"):
        assert told(reference) == hidden, reference
    offered = two_projects.browser("developer").get(URL, query_string={"from": "other/tool:1.0"})
    assert offered.status_code == 404
    assert "Other tags" not in offered.text


def test_the_digest_of_another_projects_image_opens_nothing(two_projects):
    """The store knows it already; the repository does not hold it."""
    hidden = two_projects.graph.tags["other/tool"]["1.0"]
    assert compare(two_projects, f"other/tool@{hidden}", "other/tool:1.0").text
    kept = two_projects.graph.manifests.pop(hidden)
    page = compare(two_projects, "acme/app:1.0", f"acme/app@{hidden}", "developer", 404)
    assert "RUN tool" not in page.text
    two_projects.graph.manifests[hidden] = kept


def test_a_tag_that_the_registry_does_not_have_is_not_found(two_projects):
    page = compare(two_projects, "acme/app:1.0", "acme/app:9.9", status=404)
    assert "There is no such tag here, or you may not see it." in page.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acme/app:1 0", None),
        ("docker.io/library/nginx:1", "That is a reference of docker.io"),
        ("A/B", "A name has lower-case letters"),
        ("acme/app:-x", "A tag has up to 128"),
        ("acme/app@sha256:12", "A digest is sha256"),
        ("a" * 5000, "A tag has up to 128"),
        ("x/" + "a" * 5000, "too long"),
        (HOSTILE, None),
        ("acme/app\0", None),
    ],
)
def test_what_is_no_reference_is_said_at_its_field(two_projects, text, words):
    answer = two_projects.browser("admin").get(
        URL, query_string={"from": text, "to": "acme/app:1.0"}
    )
    assert answer.status_code in {404, 422}
    page = Page(answer.text)
    assert [e.attrs["id"] for e in page.all("p") if e.attrs.get("id", "").endswith("-error")]
    if words:
        assert words in page.text
    assert not page.all("b") or HOSTILE not in answer.text


def test_without_anything_asked_the_page_says_what_it_is_for(two_projects):
    answer = two_projects.browser().get(URL)
    assert answer.status_code == 200
    assert "Any two tags, also of different images and projects" in answer.text


def test_text_of_images_stays_text(two_projects):
    one = image(
        two_projects.graph, (HOSTILE, 3), Env=[f"{HOSTILE}=1"], annotations={HOSTILE: HOSTILE}
    )
    two = image(two_projects.graph, (HOSTILE + "2", 3), Labels={HOSTILE: "javascript:alert(1)"})
    two_projects.graph.tag("acme/app", evil=one, worse=two)
    page = compare(two_projects, "acme/app:evil", "acme/app:worse")
    assert HOSTILE in page.text
    assert [s.attrs["src"].partition("?")[0] for s in page.all("script")] == ["/static/app.js"]
    assert not [a for a in page.all("a") if a.attrs["href"].startswith("javascript")]


def test_sizes_that_lie_do_not_break_the_page(two_projects):
    two_projects.graph.tag(
        "acme/app", huge=image(two_projects.graph, *((f"l{n}", 2**53) for n in range(500)))
    )
    two_projects.graph.tag("acme/app", none=image(two_projects.graph, ("a", 0), ("b", 0)))
    assert "500 new layers" in compare(two_projects, "acme/app:none", "acme/app:huge").text
    assert "2 new layers" in compare(two_projects, "acme/app:huge", "acme/app:none").text


@pytest.mark.both_databases
def test_with_the_registry_down_the_last_known_is_compared_and_marked(two_projects, registry):
    compare(two_projects, "acme/app:1.0", "acme/app:2.0")
    registry.answer = lambda _asked: Answer(503)
    page = compare(two_projects, "acme/app:1.0", "acme/app:2.0")
    assert page.text.count("This is what was known last.") == 2
    assert "1 new layer, 1 shared, 1 gone" in page.text
    digest = two_projects.graph.tags["acme/app"]["2.0"]
    assert "1 new layer" in compare(two_projects, "acme/app:1.0", f"acme/app@{digest}").text
    hidden = two_projects.graph.tags["other/tool"]["1.0"]
    compare(two_projects, "acme/app:1.0", f"acme/app@{hidden}", "developer", 404)


def test_the_cost_is_the_same_for_many_layers_and_tags(two_projects, registry):
    """Two calls to the registry for what is known, and as many queries as for little."""

    def cost(new):
        compare(two_projects, "acme/app:1.0", new)
        registry.asked.clear()
        with two_projects.statements() as statements:
            compare(two_projects, "acme/app:1.0", new)
        return len(statements), len(registry.asked)

    few = cost("acme/app:2.0")
    layers = [(f"layer {n}", n) for n in range(200)]
    two_projects.graph.tag(
        "acme/app", many=image(two_projects.graph, *layers, Env=[f"V{n}=" for n in range(200)])
    )
    with two_projects.session() as session:
        row = session.query(ContainerImage).filter_by(path="acme/app").one()
        session.add_all(Tag(image_id=row.id, name=f"t{n}") for n in range(300))
        assert session.query(Project).count() == 2
        session.commit()
    assert cost("acme/app:many") == few
    assert few[1] == 2
    assert few[0] <= 27
