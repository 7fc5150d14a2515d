"""Removal of one tag: what shares its digest stays, and a push meanwhile is kept."""

from __future__ import annotations

import pytest

from registry_ui.models import ContainerImage, Removal
from tests.support.removals import (
    IMAGE,
    PAGE,
    adopt,
    delete_tag,
    names,
    open_project,
    preview_of,
    whole,
)
from tests.web.graph import Graph

BOTH = pytest.mark.parametrize("graph", [False, True], ids=["2.8", "3.x"], indirect=True)


@pytest.fixture
def graph(request, registry):
    """A registry that deletes as 2.8 does, by digest only, if a test does not ask for both."""
    made = Graph(by_tag=getattr(request, "param", False))
    registry.answer = made
    return made


@pytest.fixture
def site(served):
    """acme/app with an owner, who is signed in as ``site.owner``."""
    return open_project(served)


@BOTH
def test_one_tag_goes_and_its_siblings_on_the_same_digest_stay(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one, latest=one, v2=two)
    adopt(site)
    text = site.owner.get(f"{PAGE}/-/tags/v1/-/delete").text
    assert "latest" in text
    assert delete_tag(site, "v1").status_code == 302
    assert graph.tags[IMAGE] == {"latest": one, "v2": two}
    assert names(site) == ["latest", "v2"]
    assert one in graph.manifests
    assert ("owner", "tag.delete", f"{IMAGE}:v1") in site.audit()


@BOTH
def test_a_preview_changes_nothing(site, graph, registry):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    before, manifests = dict(graph.tags[IMAGE]), dict(graph.manifests)
    for url in (f"{PAGE}/-/tags/v1/-/delete", f"{PAGE}/-/delete", "/acme/app/-/delete"):
        assert site.owner.get(url).status_code == 200
    assert (graph.tags[IMAGE], graph.manifests) == (before, manifests)
    assert site.rows(Removal) == []
    assert {asked.method for asked in registry.asked} <= {"GET", "HEAD", "DELETE"}


@BOTH
def test_a_tag_that_moved_since_the_preview_is_not_deleted(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    seen = preview_of(site, "v1")
    graph.tag(IMAGE, v1=two)
    answer = delete_tag(site, "v1", seen)
    assert answer.status_code == 422
    assert "Look again" in answer.text
    assert graph.tags[IMAGE] == {"v1": two}


@BOTH
def test_a_tag_that_moves_at_the_last_moment_is_kept_and_that_is_said(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one)
    adopt(site)

    def move(asked):
        if asked.method == "HEAD" and site.rows(Removal):
            graph.tag(IMAGE, v1=two)

    graph.before = move
    answer = delete_tag(site, "v1", follow_redirects=True)
    assert graph.tags[IMAGE] == {"v1": two}
    assert two in graph.manifests
    assert "another image" in answer.text or "kept" in answer.text


def test_a_push_while_the_placeholder_is_prepared_is_not_swallowed(site, graph):
    """Whoever pushed was told that it worked."""
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one, latest=one)
    adopt(site)

    def push(asked):
        if asked.method == "PUT" and "/blobs/uploads/" in asked.path:
            graph.tag(IMAGE, v1=two)

    graph.before = push
    delete_tag(site, "v1")
    assert site.report()[0]["outcome"] == "kept"
    assert graph.tags[IMAGE] == {"v1": two, "latest": one}


@pytest.mark.parametrize("stumbles", [1, 2])
def test_a_tag_that_the_registry_lists_and_that_stands_for_nothing_is_cleared_away(
    site, graph, stumbles
):
    """2.8 deletes the manifest, stumbles over a tag that is written beside, and leaves the tag."""
    one = graph.image("one")
    graph.tag(IMAGE, v1=one, latest=one)
    adopt(site)
    graph.stumbles = stumbles
    delete_tag(site, "v1")
    assert site.report()[0]["outcome"] == "deleted"
    assert graph.tags[IMAGE] == {"latest": one}


def test_a_tag_that_cannot_be_cleared_away_is_not_said_to_be(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one, latest=one)
    adopt(site)
    graph.stumbles = 100
    delete_tag(site, "v1")
    assert site.row(Removal).state == "failed"
    assert "still lists v1" in site.report()[0]["detail"]
    graph.stumbles = 0
    assert graph.tags[IMAGE]["latest"] == one


@BOTH
def test_the_last_tag_takes_the_image_with_it_from_the_index(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    delete_tag(site, "v1")
    assert not graph.tags[IMAGE]
    assert site.rows(ContainerImage) == []


@BOTH
def test_a_tag_that_is_gone_already_is_no_error(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one, v2=one)
    adopt(site)

    def gone(asked):
        if asked.method == "HEAD" and site.rows(Removal):
            graph.tags[IMAGE].pop("v1", None)

    graph.before = gone
    assert delete_tag(site, "v1").status_code == 302
    assert names(site) == ["v2"]
    assert graph.tags[IMAGE] == {"v2": one}


@BOTH
def test_an_index_that_loses_one_of_its_tags_stays_whole(site, graph):
    both = graph.index(graph.image("amd64"), graph.image("arm64"))
    graph.tag(IMAGE, v1=both, latest=both)
    adopt(site)
    delete_tag(site, "v1")
    assert whole(graph, both)
