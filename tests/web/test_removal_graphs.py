"""Removal where manifests are shared, nested and moved meanwhile: what stays must stay whole."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import update

from registry_ui.models import ContainerImage, Project, Removal
from registry_ui.names import TagName
from registry_ui.operations import lease
from registry_ui.operations.write_freeze import freeze_writes
from registry_ui.removals import runner as removals
from registry_ui.removals.planner import plan_tag
from registry_ui.removals.service import start
from tests.support.removals import (
    IMAGE,
    PAGE,
    adopt,
    delete_image,
    delete_tag,
    names,
    open_project,
    whole,
)
from tests.web.graph import OCI_INDEX, Graph
from tests.web.support import ACTOR, event_of


@pytest.fixture
def graph(registry):
    """A registry that deletes as 2.8 does, by digest only."""
    registry.answer = made = Graph()
    return made


@pytest.fixture
def site(served):
    """acme/app with an owner, who is signed in as ``site.owner``."""
    return open_project(served)


# -- a whole image -----------------------------------------------------------------


def test_an_image_goes_with_all_its_tags_and_children(site, graph):
    amd, arm, other = graph.image("amd64"), graph.image("arm64"), graph.image("other")
    both = graph.index(amd, arm)
    graph.tag(IMAGE, v1=both, latest=both, v2=other)
    adopt(site)
    assert delete_image(site).status_code == 302
    assert graph.tags[IMAGE] == {}
    assert graph.manifests == {}
    assert site.rows(ContainerImage) == []
    assert site.row(Removal).state == "done"


def test_an_image_leaves_no_tag_that_stands_for_nothing(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one, v2=two, v3=two)
    adopt(site)
    graph.stumbles = 1
    delete_image(site)
    assert graph.tags[IMAGE] == {}
    assert site.rows(ContainerImage) == []


@pytest.mark.parametrize("confirm", ["", "web", "acme/app/web ", "ACME/APP/WEB"])
def test_an_image_goes_only_when_its_name_is_typed(site, graph, confirm):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    assert site.owner.post(f"{PAGE}/-/delete", {"confirm": confirm}).status_code == 422
    assert site.rows(Removal) == []
    assert len(graph.tags[IMAGE]) == 1


def pushed_meanwhile(site, graph, **tags):
    """Have somebody push between the preview and the deed."""

    def push(asked):
        if asked.method == "GET" and asked.path.endswith("/tags/list") and site.rows(Removal):
            graph.tag(IMAGE, **tags)

    graph.before = push


def test_what_is_pushed_meanwhile_stays_and_that_is_said(site, graph):
    old, new = graph.image("old"), graph.image("new")
    graph.tag(IMAGE, v1=old)
    adopt(site)
    pushed_meanwhile(site, graph, v2=new)
    answer = site.owner.post(f"{PAGE}/-/delete", {"confirm": IMAGE}, follow_redirects=True)
    assert graph.tags[IMAGE] == {"v2": new}
    assert new in graph.manifests
    assert names(site) == ["v2"]
    assert "v2" in answer.text


def test_children_that_a_kept_index_shares_stay(site, graph):
    shared, old, new = graph.image("shared"), graph.image("old"), graph.image("new")
    kept = graph.index(shared, new)
    graph.tag(IMAGE, v1=graph.index(shared, old))
    adopt(site)
    pushed_meanwhile(site, graph, v2=kept)
    delete_image(site)
    assert whole(graph, kept)
    assert old not in graph.manifests


def pushed_before(graph, digest, **tags):
    """Have somebody push in the last moment: the worker has looked, and deletes this."""

    def push(asked):
        if asked.method == "DELETE" and asked.path.endswith(digest):
            graph.before = lambda _asked: None
            graph.tag(IMAGE, **tags)

    graph.before = push


@pytest.mark.parametrize("deep", [False, True], ids=["child", "grandchild"])
def test_a_child_that_an_index_needs_since_the_last_look_is_put_back(site, graph, deep):
    shared, old = graph.image("shared"), graph.image("old")
    inner = graph.index(shared)
    kept = graph.index(inner if deep else shared, graph.image("new"))
    graph.tag(IMAGE, v1=graph.index(inner, shared, old))
    adopt(site)
    pushed_before(graph, shared, v2=kept)
    delete_image(site)
    assert graph.tags[IMAGE] == {"v2": kept}
    assert whole(graph, kept)
    assert old not in graph.manifests
    assert site.row(Removal).state == "done"


@pytest.mark.both_databases
def test_a_child_that_a_tag_needs_since_the_last_look_is_put_back_behind_a_tag_too(site, graph):
    shared, old = graph.image("shared"), graph.image("old")
    kept = graph.index(shared)
    graph.tag(IMAGE, v1=graph.index(shared, old), other=graph.image("other"))
    adopt(site)
    pushed_before(graph, shared, v2=kept)
    delete_tag(site, "v1")
    assert sorted(graph.tags[IMAGE]) == ["other", "v2"]
    assert whole(graph, kept)
    assert old not in graph.manifests


def test_an_index_that_is_pushed_anew_while_its_children_go_gets_them_back(site, graph):
    """Its client was told that the children are there, and pushed none of them."""
    children = [graph.image("one"), graph.image("two")]
    top = graph.index(*children)
    body = graph.manifests[top]
    graph.tag(IMAGE, v1=top)
    adopt(site)

    def push(asked):
        if asked.method == "DELETE" and asked.path.endswith(children[0]):
            graph.before = lambda _asked: None
            graph.manifests[top] = body
            graph.tag(IMAGE, v1=top)

    graph.before = push
    delete_image(site)
    assert graph.tags[IMAGE] == {"v1": top}
    assert whole(graph, top)


@pytest.mark.parametrize("tag", ["v9", "v2"], ids=["another tag", "the same tag"])
def test_a_tag_that_is_pushed_between_two_looks_does_not_go_with_its_manifest(site, graph, tag):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one, v2=two)
    adopt(site)

    def push(asked):
        if asked.method == "DELETE" and asked.path.endswith(one):
            graph.before = lambda _asked: None
            graph.tag(IMAGE, **{tag: two})
            site.deliver(event_of("push", IMAGE, tag, digest=two, by="owner"))

    graph.before = push
    delete_image(site)
    assert graph.tags[IMAGE][tag] == two
    assert sorted(graph.manifests) == [two]
    assert site.row(Removal).state == "done"


def test_what_a_dead_worker_deleted_and_a_tag_needs_is_put_back_by_the_next(site, graph):
    shared, old = graph.image("shared"), graph.image("old")
    kept = graph.index(shared)
    graph.tag(IMAGE, v1=graph.index(shared, old), other=graph.image("other"))
    adopt(site)
    with site.app.app_context():
        image, project = site.row(ContainerImage), site.row(Project)
        started = start(ACTOR, plan_tag(image, TagName("v1")), project).id
    del graph.manifests[shared]  # behind this the worker died
    graph.tag(IMAGE, v2=kept)
    with site.app.app_context():
        assert removals.run(started).state == "done"
    assert sorted(graph.tags[IMAGE]) == ["other", "v2"]
    assert whole(graph, kept)


@pytest.mark.parametrize("state", ["cancelled", "waiting"])
def test_whatever_ends_a_removal_a_tag_gets_back_what_it_needs(site, graph, monkeypatch, state):
    """Somebody pushes, and somebody else stops the removal, both behind the last look."""
    monkeypatch.setattr(lease, "RENEW_INTERVAL", 0.0)
    shared = graph.image("one"), graph.image("two")
    kept = graph.index(*shared)
    graph.tag(IMAGE, v1=graph.index(*shared, graph.image("three")))
    adopt(site)

    def stop(asked):
        if asked.method == "DELETE" and asked.path.endswith(shared):
            graph.before = lambda _asked: None
            graph.tag(IMAGE, v2=kept)
            with site.session() as session:
                if state == "cancelled":
                    session.execute(update(Removal).values(cancel_wanted=True))
                else:
                    freeze_writes(session, "acme", "move")
                session.commit()

    graph.before = stop
    delete_image(site)
    assert site.row(Removal).state == state
    assert graph.tags[IMAGE]["v2"] == kept
    assert whole(graph, kept)


def test_children_of_a_kept_index_of_very_many_stay(site, graph):
    children = [graph.image(f"platform{n}") for n in range(80)]
    kept = graph.index(*children)
    graph.tag(IMAGE, v1=graph.index(*children[-3:]), v0=children[-1])
    adopt(site)
    pushed_meanwhile(site, graph, v2=kept)
    delete_image(site)
    assert whole(graph, kept)


def test_children_of_an_index_inside_a_kept_index_stay(site, graph):
    inner_child = graph.image("inner")
    kept = graph.index(graph.index(inner_child))
    graph.tag(IMAGE, v1=inner_child)
    adopt(site)
    pushed_meanwhile(site, graph, v2=kept)
    delete_image(site)
    assert whole(graph, kept)


def test_children_of_a_kept_index_that_can_not_be_shown_stay(site, graph):
    """Its JSON names a key twice: clients read it all the same."""
    child = graph.image("child")
    pointer = json.dumps({"mediaType": OCI_INDEX, "digest": child, "size": 1})
    body = b'{"schemaVersion": 2, "x": 1, "x": 2, "manifests": [' + pointer.encode() + b"]}"
    graph.tag(IMAGE, v1=child)
    adopt(site)
    pushed_meanwhile(site, graph, v2=graph.store(OCI_INDEX, body))
    delete_image(site)
    assert child in graph.manifests


def test_an_index_that_names_itself_or_what_is_not_there_is_no_trouble(site, graph):
    missing = "sha256:" + "0" * 64
    pointers = [{"mediaType": OCI_INDEX, "digest": missing, "size": 1}] * 3
    graph.tag(IMAGE, v1=graph.store(OCI_INDEX, {"manifests": pointers}))
    adopt(site)
    delete_image(site)
    assert graph.manifests == {}


def test_a_manifest_that_is_no_json_goes_too(site, graph):
    graph.tag(IMAGE, v1=graph.store(OCI_INDEX, b"no json"))
    adopt(site)
    delete_image(site)
    assert graph.manifests == {}


# -- a whole project ---------------------------------------------------------------


def test_a_project_goes_when_the_registry_has_let_go_of_all_its_images(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    graph.tag("acme/app", v1=graph.image("root"))
    graph.tag("acme/other", v1=graph.image("other"))
    adopt(site)
    assert site.owner.post("/acme/app/-/delete", {"confirm": "acme/app"}).status_code == 302
    assert site.rows(Project) == []
    assert {name: tags for name, tags in graph.tags.items() if tags} == {
        "acme/other": graph.tags["acme/other"]
    }
    assert len(graph.manifests) == 1


def test_a_project_into_which_somebody_pushes_meanwhile_stays(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    pushed_meanwhile(site, graph, v2=graph.image("two"))
    site.owner.post("/acme/app/-/delete", {"confirm": "acme/app"})
    assert site.row(Project).path == "acme/app"
    assert site.row(Removal).state == "failed"
    assert names(site) == ["v2"]


def test_a_removal_that_broke_off_looks_again_and_goes_on(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one, v2=two)
    adopt(site)
    deletions = []

    def breaks(asked):
        if asked.method == "DELETE" and "/manifests/sha256" in asked.path:
            deletions.append(asked.path)
            if len(deletions) == 2:
                raise ConnectionError

    graph.before = breaks
    delete_image(site)
    assert len(deletions) == 3
    assert site.row(Removal).state == "done"
    assert site.rows(ContainerImage) == []


def test_while_one_removal_waits_another_of_the_same_is_refused(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    project = site.row(Project)
    with site.session() as session:
        session.add(
            Removal(
                kind="image",
                target=IMAGE,
                project_id=project.id,
                project_path=project.path,
                requested_by="somebody",
                state="waiting",
                plan=[],
            )
        )
        session.commit()
    for answer in (
        delete_image(site),
        delete_tag(site, "v1"),
        site.owner.post("/acme/app/-/delete", {"confirm": "acme/app"}),
    ):
        assert answer.status_code == 409
        assert "deleted already" in answer.text
    assert graph.tags[IMAGE]
