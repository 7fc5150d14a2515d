"""The trash: a removed tag can be restored for some days, its digest unchanged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest

from registry_ui.catalog import tag_claims
from registry_ui.errors import RegistryUnreachable
from registry_ui.jobs import tasks
from registry_ui.models import ContainerImage, Project, Removal, Tag, TagClaim, TrashedTag, utc_now
from registry_ui.names import RepositoryName, TagName
from registry_ui.operations.errors import StepFailed
from registry_ui.removals import purge_planner, steps
from registry_ui.token_auth.verifier import VerifiedToken
from registry_ui.trash import service as trash
from registry_ui.web import removals as removal_pages
from tests.support.html import Page
from tests.support.removals import IMAGE, PAGE, adopt, names, open_project, whole
from tests.web.graph import Graph
from tests.web.support import event_of

TRASH = "/acme/app/-/trash"
PAST = utc_now() - timedelta(minutes=1)


@pytest.fixture(params=[False, True], ids=["2.8", "3.x"])
def graph(request, registry):
    made = Graph(by_tag=request.param)
    registry.answer = made
    return made


@pytest.fixture
def site(served, monkeypatch):
    """A project with its owner, on a site with a trash."""
    settings = replace(served.app.config["SETTINGS"], trash_days=7)
    monkeypatch.setitem(served.app.config, "SETTINGS", settings)
    open_project(served)
    return served


def delete_tag(site, tag, **more):
    address = f"{PAGE}/-/tags/{tag}/-/delete"
    return site.owner.post(address, {**Page(site.owner.get(address).text).hidden, **more})


def visible(graph):
    """The tags of the registry that are not the trash's."""
    return {tag: d for tag, d in graph.tags[IMAGE].items() if not tag.startswith("_bin.")}


def trashed(graph):
    return [digest for tag, digest in graph.tags[IMAGE].items() if tag.startswith("_bin.")]


def purge(site):
    with site.app.app_context():
        tasks.purge_trash()


def test_a_removed_tag_is_kept_whole_and_no_list_shows_it(site, graph):
    both = graph.index(graph.image("amd"), graph.image("arm"))
    graph.tag(IMAGE, v1=both, v2=graph.image("two"))
    adopt(site)
    text = Page(site.owner.get(f"{PAGE}/-/tags/v1/-/delete").text).section("What goes")
    assert "7 days" in text
    delete_tag(site, "v1")
    assert list(visible(graph)) == names(site) == ["v2"]
    assert trashed(graph) == [both]
    assert whole(graph, both)
    assert site.report()[-1]["outcome"] == "in the bin"
    assert site.row(ContainerImage).tag_count == 1
    adopt(site)
    assert names(site) == ["v2"]
    trash_tag = site.row(TrashedTag).trash_tag
    assert trash_tag not in site.owner.get(PAGE).text
    assert trash_tag not in site.owner.get("/api/v4/projects/acme/app/-/images/web/-/tags").text
    for page in ("", "/-/delete"):
        assert site.owner.get(f"{PAGE}/-/tags/{trash_tag}{page}").status_code == 404


def test_the_list_of_tags_and_the_report_of_a_removal_lead_to_the_trash(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"), v2=graph.image("two"), v3=graph.image("three"))
    adopt(site)
    assert Page(site.owner.get(PAGE).text).links["Trash"] == TRASH
    for form, leads in ({"chosen": "v1"}, True), ({"chosen": "v2", "for_good": "1"}, False):
        plan = site.owner.post(f"{PAGE}/-/delete-tags", form).headers["Location"]
        site.owner.post(f"{plan}/confirm")
        report = Page(site.owner.get(plan).text)
        assert "Back to the project" in report.links
        assert ("Trash" in report.links) is leads
    assert "1 manifest " in report.text


def test_an_event_about_a_name_of_the_trash_makes_no_tag(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    site.deliver(event_of("push", IMAGE, "_bin.0123456789abcdef", digest=graph.tags[IMAGE]["v1"]))
    assert names(site) == ["v1"]


@pytest.mark.both_databases
def test_a_restored_tag_has_its_digest_and_its_pusher_again(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    pushed = utc_now() - timedelta(days=3)
    site.change(Tag, {"pushed_by": "alice", "pushed_at": pushed}, name="v1")
    delete_tag(site, "v1")
    assert site.row(ContainerImage).emptied_at is not None
    row = site.row(TrashedTag)
    assert (row.tag, row.digest, row.pushed_by, row.removed_by) == ("v1", one, "alice", "owner")
    answer = site.owner.post(f"{TRASH}/{row.id}/restore")
    assert answer.status_code == 302
    assert graph.tags[IMAGE] == {"v1": one}
    tag = site.row(Tag)
    assert (tag.name, tag.digest, tag.pushed_by, tag.pushed_at) == ("v1", one, "alice", pushed)
    assert site.rows(TrashedTag) == []
    assert ("owner", "tag.restore", f"{IMAGE}:v1") in site.audit()


def test_a_tag_that_exists_again_is_not_overwritten_and_another_name_is_asked_for(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    delete_tag(site, "v1")
    graph.tag(IMAGE, v1=two)
    number = site.row(TrashedTag).id
    answer = site.owner.post(f"{TRASH}/{number}/restore")
    assert answer.status_code == 409
    assert "Give another name" in answer.text
    assert site.owner.post(f"{TRASH}/{number}/restore", {"name": "no name"}).status_code == 422
    assert visible(graph) == {"v1": two}
    site.owner.post(f"{TRASH}/{number}/restore", {"name": "v1-old"})
    assert visible(graph) == {"v1": two, "v1-old": one}


def test_nobody_restores_under_a_name_that_a_rule_lets_them_not_push(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    delete_tag(site, "v1")
    site.users("maintainer")
    site.member("acme", "maintainer", "maintainer")
    site.rule("acme/app", "stable", "owner")
    restore = f"{TRASH}/{site.row(TrashedTag).id}/restore"
    refused = site.browser("maintainer").post(restore, {"name": "stable"})
    assert refused.status_code == 422
    assert "tag stable is protected in acme/app/web: push needs Owner" in refused.text
    assert visible(graph) == {}
    assert site.owner.post(restore, {"name": "stable"}).status_code == 302
    assert visible(graph) == {"stable": one}


def test_an_immutable_tag_that_somebody_is_pushing_is_not_restored_under_their_hands(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    delete_tag(site, "v1")
    site.rule("acme/app", "v*")
    restore = f"{TRASH}/{site.row(TrashedTag).id}/restore"
    with site.app.app_context():
        claimant = VerifiedToken("somebody", "token", {})
        assert tag_claims.acquire(RepositoryName(IMAGE), TagName("v1"), claimant) is None
    refused = site.owner.post(restore)
    assert refused.status_code == 409
    assert "being pushed" in refused.text
    assert visible(graph) == {}
    site.change(TagClaim, {"until": PAST})
    assert site.owner.post(restore).status_code == 302
    assert visible(graph) == {"v1": one}
    assert site.rows(TagClaim) == []


def test_a_broken_repository_does_not_keep_the_trash_of_other_projects_full(
    site, graph, monkeypatch
):
    site.project("acme/other")
    for path in (IMAGE, "acme/other/web"):
        graph.tag(path, v1=graph.image(path))
    adopt(site)
    for page in (PAGE, "/acme/other/-/images/web"):
        address = f"{page}/-/tags/v1/-/delete"
        site.owner.post(address, Page(site.owner.get(address).text).hidden)
    site.change(TrashedTag, {"purge_at": PAST})
    asked = []

    def plan_purge(target, entries):
        asked.append(target)
        if len(asked) == 1:
            raise RegistryUnreachable("it stumbles over this one")
        return purge_planner.plan_purge(target, entries)

    monkeypatch.setattr(trash, "plan_purge", plan_purge)
    purge(site)
    assert sorted(asked) == ["acme/app", "acme/other"]
    (left,) = site.rows(TrashedTag)
    assert left.repository.startswith(asked[0])


def test_nothing_is_restored_under_a_name_of_the_trash_where_no_list_would_show_it(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    delete_tag(site, "v1")
    before = dict(graph.tags[IMAGE])
    restore = f"{TRASH}/{site.row(TrashedTag).id}/restore"
    refused = site.owner.post(restore, {"name": "_bin.0123456789abcdef"})
    assert refused.status_code == 422
    assert "Give another name" in refused.text
    assert graph.tags[IMAGE] == before


def test_after_its_days_a_tag_goes_for_good_with_what_only_it_needed(site, graph):
    one, shared = graph.image("one"), graph.image("shared")
    both, kept = graph.index(one, shared), graph.index(shared)
    graph.tag(IMAGE, v1=both, v2=kept)
    adopt(site)
    delete_tag(site, "v1")
    purge(site)
    assert trashed(graph) == [both]
    site.change(TrashedTag, {"purge_at": PAST})
    purge(site)
    assert graph.tags[IMAGE] == {"v2": kept}
    assert whole(graph, kept)
    assert both not in graph.manifests
    assert one not in graph.manifests
    assert site.rows(TrashedTag) == []
    assert site.rows(Removal)[-1].requested_by == "-/worker"


def test_a_tag_that_the_registry_could_not_remove_stays_in_the_trash(site, graph, monkeypatch):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    delete_tag(site, "v1")
    site.change(TrashedTag, {"purge_at": PAST})
    failure = mock.Mock(side_effect=StepFailed("the registry answered 500"))
    with monkeypatch.context() as patched:
        patched.setattr(steps, "_remove_tag", failure)
        purge(site)
    assert trashed(graph) == [one]
    assert [row.digest for row in site.rows(TrashedTag)] == [one]
    purge(site)
    assert trashed(graph) == []


def test_what_was_tagged_again_meanwhile_outlives_the_trash(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    adopt(site)
    delete_tag(site, "v1")
    graph.tag(IMAGE, again=one)
    site.change(TrashedTag, {"purge_at": PAST})
    purge(site)
    assert graph.tags[IMAGE] == {"again": one}
    assert one in graph.manifests


def test_removing_for_good_shows_its_plan_first(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one, v2=graph.image("two"))
    adopt(site)
    delete_tag(site, "v1")
    address = site.owner.post(f"{TRASH}/{site.row(TrashedTag).id}/remove").headers["Location"]
    assert f"{IMAGE}:v1" in Page(site.owner.get(address).text).section("What goes")
    assert trashed(graph) == [one]
    site.owner.post(f"{address}/confirm")
    assert trashed(graph) == []
    assert one not in graph.manifests
    assert "The trash is empty" in site.owner.get(TRASH).text


def test_a_tag_can_be_deleted_without_the_trash(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one, v2=graph.image("two"))
    adopt(site)
    address = f"{PAGE}/-/tags/v1/-/delete"
    seen = Page(site.owner.get(f"{address}?for_good=1").text).hidden
    site.owner.post(address, seen)
    assert trashed(graph) == []
    assert one not in graph.manifests


@pytest.mark.both_databases
def test_the_tags_of_a_deleted_image_are_all_in_the_trash(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one, v2=two)
    adopt(site)
    site.owner.post(f"{PAGE}/-/delete", {"confirm": IMAGE})
    assert visible(graph) == {}
    assert sorted(trashed(graph)) == sorted([one, two])
    assert site.row(ContainerImage).emptied_at is not None
    text = site.owner.get(TRASH).text
    assert f"{IMAGE}:v1" in text
    assert f"{IMAGE}:v2" in text


def test_a_deleted_project_takes_its_trash_with_it_and_says_so(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    graph.tag("acme/app/other", v1=graph.image("other"))
    adopt(site)
    delete_tag(site, "v1")
    assert "Tags in the trash are deleted, too" in site.owner.get("/acme/app/-/delete").text
    site.owner.post("/acme/app/-/delete", {"confirm": "acme/app"})
    assert site.rows(Project) == []
    assert site.rows(TrashedTag) == []
    assert graph.manifests == {}


def test_a_tag_that_moves_at_the_last_moment_leaves_nothing_in_the_trash(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=one)
    adopt(site)

    def move(asked):
        if asked.method == "PUT" and "/manifests/_bin." in asked.path:
            graph.tag(IMAGE, v1=two)

    graph.before = move
    delete_tag(site, "v1")
    assert site.report()[0]["outcome"] == "kept"
    assert visible(graph) == {"v1": two}
    assert "The trash is empty" in site.owner.get(TRASH).text
    graph.before = lambda _asked: None
    purge(site)
    assert trashed(graph) == []


def test_what_the_trash_can_not_keep_is_not_deleted(site, graph, monkeypatch):
    monkeypatch.setattr(removal_pages, "REMOVAL_TIMEOUT", 0.2)
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)

    def break_off(asked):
        if asked.method == "PUT" and "/manifests/_bin." in asked.path:
            raise ConnectionError

    graph.before = break_off
    delete_tag(site, "v1")
    assert visible(graph) == {"v1": graph.tags[IMAGE]["v1"]}
    assert site.row(Removal).state == "waiting"
    assert "The registry does not answer" in site.row(Removal).problem


def test_a_cancelled_removal_stops_before_its_next_step(site, graph):
    graph.tag(IMAGE, **{f"v{n}": graph.image(f"{n}") for n in range(4)})
    adopt(site)
    address = site.owner.post(f"{PAGE}/-/delete-tags", {"pattern": "*"}).headers["Location"]

    def cancel(asked):
        if asked.method == "DELETE" and len(site.report()) == 1:
            graph.before = lambda _asked: None
            site.browser("owner").post(f"{address}/cancel")

    graph.before = cancel
    site.owner.post(f"{address}/confirm")
    assert [line["outcome"] for line in site.report()] == ["in the bin"] * 2 + ["cancelled"]
    assert sorted(visible(graph)) == ["v2", "v3"]
    assert site.row(Removal).state == "cancelled"
    assert "the rest was not touched" in site.owner.get(address).text


def test_a_removal_of_someone_elses_project_can_not_be_restored_from(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    delete_tag(site, "v1")
    site.project("acme/other")
    number = site.row(TrashedTag).id
    for what in ("restore", "remove"):
        assert site.owner.post(f"/acme/other/-/trash/{number}/{what}").status_code == 404


def test_a_form_of_the_old_page_still_restores(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    delete_tag(site, "v1")
    old = f"/acme/app/-/bin/{site.row(TrashedTag).id}/restore"
    new = site.owner.post(old, {"name": "v2"}).headers["Location"]
    assert site.owner.post(new, {"name": "v2"}).headers["Location"] == TRASH
    assert list(visible(graph)) == ["v2"]
