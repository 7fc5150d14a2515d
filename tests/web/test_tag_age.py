"""From when a tag's age counts: a check, a restore, a push. And what a restored tag gets back."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from registry_ui.jobs import tasks
from registry_ui.models import (
    ContainerImage,
    RetentionPolicy,
    Tag,
    TagHistoryEntry,
    TrashedTag,
    utc_now,
)
from registry_ui.retention import selection
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules, removable
from registry_ui.tags import selection as choosing
from registry_ui.tags.selection import Criteria, DatedTag, choose, dated_tags
from tests.support.html import Page
from tests.support.removals import IMAGE, PAGE, adopt, open_project
from tests.web.support import event_of

TRASH = "/acme/app/-/trash"
MONTH = timedelta(days=30)
OLD = "2025-01-01T00:00:00Z"
BUILT = datetime(2025, 1, 1, tzinfo=UTC)
NOTHING = "/acme/app/-/images/nothing"


@pytest.fixture
def site(served, graph, monkeypatch):
    """acme/app on a site with a trash; its image has v1, pushed 90 days ago by alice."""
    settings = replace(served.app.config["SETTINGS"], trash_days=7)
    monkeypatch.setitem(served.app.config, "SETTINGS", settings)
    open_project(served)
    graph.tag(IMAGE, v1=graph.image("first", created=OLD))
    adopt(served)
    pushed = {"pushed_at": utc_now() - 3 * MONTH, "pushed_by": "alice", "age_from": None}
    served.change(Tag, pushed, name="v1")
    served.change(Tag, {"seen_at": utc_now() - MONTH})
    return served


def read(site):
    """Have the store learn when everything was built."""
    site.owner.get(PAGE)


def old_tags(site, days=30):
    """What a policy and what a removal by hand take for old: it must be the same."""
    with site.session() as session:
        image = session.scalars(select(ContainerImage)).one()
        by_policy = removable(dated_tags(image), Rules(older_than_days=days), utc_now())
        by_hand = choose(image, Criteria(older_than=timedelta(days=days)))
    assert by_policy == by_hand
    return by_policy


def delete_tag(site, tag):
    address = f"{PAGE}/-/tags/{tag}/-/delete"
    return site.owner.post(address, Page(site.owner.get(address).text).hidden)


def restore(site, tag="v1"):
    number = site.row(TrashedTag, tag=tag, leaving=False).id
    return site.owner.post(f"{TRASH}/{number}/restore")


# -- what a check finds ---------------------------------------------------------------


def test_a_tag_whose_push_was_lost_counts_from_the_check_and_not_from_the_build(site, graph):
    read(site)
    assert old_tags(site) == {"v1"}
    graph.tag(IMAGE, v1=graph.image("second", created=OLD))
    adopt(site)
    read(site)
    tag = site.row(Tag)
    assert (tag.digest, tag.pushed_at) == (graph.tags[IMAGE]["v1"], None)
    assert old_tags(site) == set()
    site.change(Tag, {"age_from": utc_now() - MONTH - timedelta(hours=1)})
    assert old_tags(site) == {"v1"}


def test_a_new_tag_whose_push_was_lost_counts_from_the_check(site, graph):
    graph.tag(IMAGE, v2=graph.image("second", created=OLD))
    adopt(site)
    read(site)
    assert old_tags(site) == {"v1"}


def test_a_tag_that_its_own_page_finds_changed_counts_from_then(site, graph):
    graph.tag(IMAGE, v1=graph.image("second", created=OLD), v2=graph.image("third", created=OLD))
    for tag in ("v1", "v2"):
        assert site.owner.get(f"{PAGE}/-/tags/{tag}").status_code == 200
    assert old_tags(site) == set()


def test_a_push_counts_from_the_push(site, graph):
    site.deliver(event_of("push", IMAGE, "v1", digest=graph.tags[IMAGE]["v1"]))
    assert old_tags(site) == set()


def test_a_tag_of_which_neither_push_nor_build_is_known_is_not_old(site, graph):
    graph.tag(IMAGE, v2=graph.image("no date"))
    adopt(site)
    read(site)
    site.change(Tag, {"age_from": utc_now() - 9 * MONTH})
    assert old_tags(site) == {"v1"}


def row(**values):
    names = ("name", "pushed_at", "age_from", "last_pulled_at", "digest", "built_at", "damage")
    return SimpleNamespace(**{**dict.fromkeys(names), "name": "v", **values})


NOW = utc_now()


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ({"pushed_at": NOW}, NOW),
        ({"pushed_at": BUILT, "age_from": NOW}, NOW),
        ({"pushed_at": NOW, "age_from": BUILT}, NOW),
        ({"built_at": BUILT, "age_from": NOW}, NOW),
        ({"built_at": NOW, "age_from": BUILT}, NOW),
        ({"pushed_at": BUILT, "built_at": NOW}, BUILT),
        ({"age_from": NOW}, None),
        ({}, None),
    ],
)
def test_the_age_counts_from_the_latest_that_is_known(values, at):
    assert DatedTag.of(row(**values), None).at == at


def test_tags_that_one_check_found_are_in_the_order_of_their_builds():
    tags = [
        DatedTag(name, NOW, None, name, NOW - timedelta(days=days))
        for name, days in [("9", 3), ("8", 1), ("7", 2), ("1.10", 5), ("1.9", 5)]
    ]
    for kept, gone in [(1, "7 9 1.10 1.9"), (3, "1.10 1.9"), (4, "1.9")]:
        assert removable(tags, Rules(keep_last=kept), NOW) == set(gone.split())


# -- what was restored ----------------------------------------------------------------


def later(monkeypatch, days):
    """Let policies believe that so many days have passed."""
    for module in (retention, selection, choosing):
        monkeypatch.setattr(module, "utc_now", lambda: utc_now() + timedelta(days=days))


def test_a_policy_does_not_remove_again_what_was_restored(site, graph, monkeypatch):
    graph.tag(IMAGE, v2=graph.image("second"))
    adopt(site)
    policy = "/acme/app/-/retention"
    site.owner.post(policy, {"older_than_days": "30"})
    number = site.row(RetentionPolicy).id
    site.owner.post(f"{policy}/{number}/switch", {"on": "1"})

    def run():
        site.change(RetentionPolicy, {"last_run_at": None})
        with site.app.app_context():
            tasks.run_retention()
        return sorted(tag for tag in graph.tags[IMAGE] if not tag.startswith("_bin"))

    assert run() == ["v2"]
    restore(site)
    assert run() == ["v1", "v2"]
    later(monkeypatch, 29)
    assert run() == ["v1", "v2"]
    later(monkeypatch, 31)
    assert run() == ["v2"]


def test_the_history_keeps_the_push_and_the_restore(site):
    pushed = site.row(Tag).pushed_at
    site.deliver(event_of("push", IMAGE, "v1", digest=site.row(Tag).digest, by="bob"))
    delete_tag(site, "v1")
    restore(site)
    tag = site.row(Tag)
    assert (tag.pushed_by, tag.pushed_at > pushed) == ("bob", True)
    moments = [(m.action, m.actor) for m in site.rows(TagHistoryEntry)]
    assert moments == [("pushed", "bob"), ("removed", "owner"), ("restored", "owner")]
    page = Page(site.owner.get(f"{PAGE}/-/tags/v1").text).section("What this tag pointed to")
    assert "Restored from the trash" in page
    assert "bob" in page


def test_restoring_the_last_tag_brings_back_the_history_and_the_pulls(site):
    digest = site.row(Tag).digest
    for _ in range(3):
        site.deliver(event_of("pull", IMAGE, "v1", digest=digest))
    before = site.row(Tag)
    delete_tag(site, "v1")
    assert site.rows(Tag) == []
    restore(site)
    tag, image = site.row(Tag), site.row(ContainerImage)
    assert (tag.pull_count, tag.last_pulled_at) == (3, before.last_pulled_at)
    assert (image.pull_count, image.emptied_at) == (3, None)
    assert [m.action for m in site.rows(TagHistoryEntry)] == ["removed", "restored"]
    assert site.owner.get(PAGE).status_code == 200


def answer_of(site, page):
    """Return the whole page but for the token of its forms, which has the time in it."""
    return re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", site.owner.get(page).text)


def test_an_image_of_which_only_the_trash_has_tags_is_nowhere_to_be_seen(site):
    bearer = {"Authorization": f"Bearer {site.access_token('owner', 'read_registry')}"}
    api = "/api/v4/projects/acme/app/-/images"

    def ask():
        pages = [site.owner.get(page).status_code for page in (PAGE, f"{PAGE}/-/tags/v1")]
        client = site.app.test_client()
        tags = client.get(f"{api}/web/-/tags", headers=bearer).status_code
        return *pages, tags, len(client.get(api, headers=bearer).json["images"])

    assert ask() == (200, 200, 200, 1)
    delete_tag(site, "v1")
    assert site.row(ContainerImage).emptied_at is not None
    assert ask() == (404, 404, 404, 0)
    assert answer_of(site, PAGE).replace("web", "nothing") == answer_of(site, NOTHING)
    assert "acme/app/web" not in site.owner.get("/-/search?q=web").text
    assert f'href="{PAGE}"' not in site.owner.get("/acme/app").text


def test_a_push_to_an_emptied_image_makes_it_visible_again(site, graph):
    delete_tag(site, "v1")
    graph.tag(IMAGE, v9=graph.image("ninth"))
    site.deliver(event_of("push", IMAGE, "v9", digest=graph.tags[IMAGE]["v9"]))
    assert site.row(ContainerImage).emptied_at is None
    assert site.owner.get(PAGE).status_code == 200


@pytest.mark.both_databases
def test_the_history_of_an_emptied_image_goes_with_the_last_of_its_trash(site):
    delete_tag(site, "v1")
    site.change(TrashedTag, {"purge_at": utc_now() - timedelta(minutes=1)})
    with site.app.app_context():
        tasks.purge_trash()
    assert site.rows(TrashedTag) == site.rows(ContainerImage) == site.rows(TagHistoryEntry) == []


def test_a_project_with_an_emptied_image_can_be_deleted(site):
    delete_tag(site, "v1")
    site.owner.post("/acme/app/-/delete", {"confirm": "acme/app"})
    assert site.rows(ContainerImage) == []
    assert site.owner.get("/acme/app").status_code == 404


def test_another_image_can_take_the_name_of_an_emptied_one(site, graph):
    delete_tag(site, "v1")
    other = "acme/app/other"
    graph.tag(other, v1=graph.image("other"))
    adopt(site)
    answer = site.owner.post("/acme/app/-/images/other/-/move", {"target": IMAGE})
    assert answer.status_code == 302, answer.text
