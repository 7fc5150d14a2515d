"""Tags that can't be removed, and listed names that can't be tags: named, and the others go."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_ui.models import Tag
from registry_ui.names import TagName
from registry_ui.removals.planner import plan_image, plan_tag
from tests.support.damage import damage_tag
from tests.support.live import LiveSite, tiny

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")
ODD = "ünï"


@pytest.fixture
def image(shop: LiveSite) -> str:
    """An image with two tags, which the index knows."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE, "2.0": TWO})
    return path


def tags_folder(site: LiveSite, image: str) -> Path:
    store = site.registry.home / "data/docker/registry/v2/repositories"
    return store / image / "_manifests/tags"


def make_unremovable(site: LiveSite, image: str, tag: str) -> None:
    """Put a directory where the registry keeps what a tag points to."""
    link = tags_folder(site, image) / tag / "current/link"
    link.unlink()
    link.mkdir()


def add_odd_name(site: LiveSite, image: str) -> None:
    """Add a directory to the storage whose name no client could have pushed."""
    link = tags_folder(site, image) / ODD / "current/link"
    link.parent.mkdir(parents=True)
    link.write_text(ONE.digest)


@pytest.fixture
def damaged(shop, image) -> str:
    """The image, with two damaged tags that can be removed, and one that can't."""
    for tag in ("bad", "worse", "stuck"):
        shop.push_and_index(image, {tag: tiny(f"{tag} {shop.root}")})
    damage_tag(shop.registry, image, "bad", "empty link")
    damage_tag(shop.registry, image, "worse", "missing link")
    make_unremovable(shop, image, "stuck")
    shop.reconcile(image)
    return image


def test_a_damaged_tag_that_can_not_be_removed_is_named_and_the_others_go(shop, damaged):
    done = shop.run(shop.start(plan_image, damaged))
    details = [line["detail"] for line in shop.report(done.id)]
    if shop.registry.version == "3":  # it deletes by tag, whatever the tag is
        assert done.state == "done"
        return
    assert done.state == "failed"
    assert "could not be deleted: stuck (the registry answered 500 UNKNOWN" in details[0]
    assert "bad, worse deleted" in details[0]
    assert "stuck can't be read, so all manifests are kept" in details[1]
    for tag in ("1.0", "2.0", "bad", "worse"):
        assert shop.pusher.digest(damaged, tag) is None
    assert shop.pusher.digest(damaged, ONE.digest) == ONE.digest
    marks = {name: shop.row(Tag, name=name).damage for name in shop.index(damaged)}
    assert marks == {"1.0": "removed", "2.0": "removed", "bad": "removed", "worse": "removed"} | {
        "stuck": "fault"
    }


def test_a_check_and_the_page_name_what_can_not_be_a_tag(shop, image):
    add_odd_name(shop, image)
    outcome = shop.reconcile(image)
    assert (outcome.error, outcome.unusable) == (None, [ODD])
    assert f"listed names that can't be tags: '{ODD}'" in str(outcome)
    assert shop.index(image) == {"1.0": ONE.digest, "2.0": TWO.digest}
    page = shop.page(f"/{shop.shop}/-/images/app").text
    assert "The registry lists 1 name that can't be a tag:" in page
    assert ODD in page


def test_a_name_that_can_not_be_a_tag_is_named_when_others_are_deleted(shop, image):
    add_odd_name(shop, image)
    done = shop.run(shop.start(plan_tag, image, TagName("2.0")))
    assert done.state == "done"
    assert shop.pusher.digest(image, "2.0") is None
    assert shop.pusher.digest(image, "1.0") == ONE.digest
    left = "2.0" in shop.pusher.tags(image)
    assert left == (shop.registry.version == "2.8")
    if left:
        assert f"names that can't be tags ('{ODD}')" in shop.report(done.id)[0]["detail"]
        assert shop.row(Tag, name="2.0").damage == "removed"
        again = shop.run(shop.start(plan_tag, image, TagName("2.0")))
        assert f"names that can't be tags ('{ODD}')" in shop.report(again.id)[0]["detail"]
