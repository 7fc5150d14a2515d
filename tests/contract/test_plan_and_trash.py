"""Plans of several tags, and the trash, on every major version; also where the worker is killed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from registry_ui.db.session import db
from registry_ui.demo.images import DOCKER, index
from registry_ui.jobs.tasks import purge_trash
from registry_ui.models import ContainerImage, TrashedTag, utc_now
from registry_ui.removals.plan import RemovalOptions
from registry_ui.removals.planner import plan_tags
from registry_ui.removals.purge_planner import plan_purge
from tests.support.live import LiveSite, tiny
from tests.support.live_removals import kill_removal, outcomes_of

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two", family=DOCKER)
AMD, ARM, S390 = tiny("amd"), tiny("arm"), tiny("s390", platform="linux/s390x")
BOTH, OTHER = index([AMD, ARM]), index([AMD, S390])
TAGS = {"1.0": BOTH, "latest": BOTH, "2.0": OTHER, "old": ONE, "docker": TWO, "arm": ARM}
REMOVED = ("1.0", "latest", "old", "docker")
LEFT = {"2.0": OTHER.digest, "arm": ARM.digest}


@pytest.fixture
def image(shop: LiveSite) -> str:
    """An image whose tags share platforms, and more."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, TAGS)
    return path


def planned(image: ContainerImage, trash_days: int = 0):
    options = RemovalOptions(trash_days=trash_days)
    return plan_tags("tags", image.path, [(image, REMOVED)], options)


def visible(shop, image):
    return {tag: d for tag, d in shop.live(image).items() if not tag.startswith("_bin.")}


def readable(shop, image, *manifests):
    parts = {part.digest for manifest in manifests for part in manifest.walk()}
    return {digest for digest in parts if shop.pusher.digest(image, digest)}


def digests(*manifests):
    return {part.digest for manifest in manifests for part in manifest.walk()}


def assert_only_what_was_planned_is_gone(shop, image):
    assert shop.live(image) == shop.index(image) == LEFT
    assert readable(shop, image, *TAGS.values()) == digests(OTHER, ARM)


def test_several_tags_go_with_what_only_they_need(shop, image):
    started = shop.start(planned, image)
    assert shop.run(started).state == "done"
    assert_only_what_was_planned_is_gone(shop, image)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_in_the_middle_of_several_tags_the_next_worker_finishes(shop, image, when):
    started = shop.start(planned, image)
    kill_removal(shop, started, when)
    assert shop.live(image) != LEFT
    shop.resume()
    assert set(outcomes_of(shop, started)) <= {"deleted", "gone already"}
    assert_only_what_was_planned_is_gone(shop, image)


def test_what_is_pushed_while_tags_go_stays_whole(shop, image):
    """Between the tags and the manifests somebody tags a platform that was to go."""
    started = shop.start(planned, image)
    client = shop.app.extensions["registry"]
    delete = client.delete_manifest

    def push_before_the_first_manifest_goes(repository, reference):
        if str(reference) in digests(BOTH, ONE, TWO) and "fresh" not in shop.pusher.tags(image):
            shop.push(image, {"fresh": index([ONE, S390])})
        delete(repository, reference)

    with shop.patched("delete_manifest", push_before_the_first_manifest_goes):
        done = shop.run(started)
    assert done.state == "done"
    live = shop.live(image)
    assert live["fresh"] is not None
    assert digests(OTHER, ARM) <= readable(shop, image, OTHER, ARM)
    # Its parts were among what was to go, when the worker had looked already.
    assert digests(ONE, S390) <= readable(shop, image, ONE, S390)


@pytest.mark.parametrize("when", [None, "before", "after"])
def test_what_went_into_the_trash_comes_back_digest_by_digest(shop, image, when):
    started = shop.start(partial(planned, trash_days=7), image)
    if when:
        kill_removal(shop, started, when)
        shop.resume()
    else:
        shop.run(started)
    assert shop.removal(started).state == "done"
    assert visible(shop, image) == shop.index(image) == LEFT
    assert readable(shop, image, *TAGS.values()) == digests(*TAGS.values())
    shop.app.config["SETTINGS"] = replace(shop.config, trash_days=7)
    browser = shop.browser("maintainer")
    for row in shop.rows(TrashedTag):
        assert browser.post(f"/{shop.shop}/-/trash/{row.id}/restore").status_code == 302
    assert shop.live(image) == {tag: manifest.digest for tag, manifest in TAGS.items()}
    assert set(shop.index(image)) == set(TAGS)
    assert readable(shop, image, *TAGS.values()) == digests(*TAGS.values())
    assert shop.rows(TrashedTag) == []


@pytest.mark.parametrize("when", [None, "before", "after"])
def test_what_leaves_the_trash_takes_along_what_only_it_needed(shop, image, when):
    shop.run(shop.start(partial(planned, trash_days=7), image))
    shop.change(TrashedTag, {"purge_at": utc_now()})
    if when is None:
        with shop.app.app_context():
            purge_trash()
    else:
        started = shop.start(lambda project: plan_purge(project.path, trashed()))
        kill_removal(shop, started, when)
        shop.resume()
        outcomes_of(shop, started)
    assert_only_what_was_planned_is_gone(shop, image)
    assert shop.rows(TrashedTag) == []


def trashed():
    return list(db.session.query(TrashedTag))
