"""One tag that the registry lists and can't read: it is named and kept, and the rest goes on."""

from __future__ import annotations

import pytest

from registry_ui.demo.images import Manifest
from registry_ui.models import Tag
from tests.support.damage import KINDS, damage_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")


@pytest.fixture(params=KINDS)
def kind(request):
    """How the tag is damaged."""
    return request.param


@pytest.fixture
def image(shop: LiveSite) -> str:
    """An image with three tags, which the index knows."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, tags_of(shop))
    return path


def tags_of(site: LiveSite) -> dict[str, Manifest]:
    """Tags of which one will be damaged: its manifest is its own, as blobs are shared by all."""
    return {"1.0": ONE, "2.0": TWO, "bad": tiny(f"bad {site.root}")}


def row_of(site: LiveSite, tag: str = "bad") -> Tag:
    return site.row(Tag, name=tag)


# -- the index -------------------------------------------------------------------


def test_a_check_marks_the_damaged_tag_and_compares_the_others(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    shop.push(image, {"2.0": ONE, "3.0": TWO})
    outcome = shop.reconcile(image)
    assert (outcome.error, outcome.added, outcome.changed, outcome.damaged) == (None, 1, 1, 1)
    assert outcome.removed == 0
    assert row_of(shop).damage == KINDS[kind]
    assert row_of(shop).digest == tags_of(shop)["bad"].digest  # what it stood for before
    others = {"1.0": ONE.digest, "2.0": ONE.digest, "3.0": TWO.digest}
    assert shop.index(image) == {**others, "bad": tags_of(shop)["bad"].digest}


def test_since_when_it_is_damaged_is_kept_by_later_checks(shop, image):
    damage_tag(shop.registry, image, "bad", "empty link")
    shop.reconcile(image)
    since = row_of(shop).damaged_since
    shop.reconcile(image)
    assert row_of(shop).damaged_since == since


def test_a_tag_that_was_pushed_again_is_readable_at_the_next_check(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    shop.reconcile(image)
    shop.push(image, {"bad": TWO})
    assert shop.reconcile(image).damaged == 0
    assert (row_of(shop).damage, row_of(shop).damaged_since) == (None, None)
    assert row_of(shop).digest == TWO.digest


def test_the_event_of_a_push_makes_it_readable_at_once(shop, image):
    damage_tag(shop.registry, image, "bad", "empty link")
    shop.reconcile(image)
    shop.push_and_tell(image, {"bad": TWO})
    assert (row_of(shop).damage, row_of(shop).digest) == (None, TWO.digest)


def test_a_project_created_over_such_a_repository_shows_it(site, kind):
    path = f"{site.root}/found/app"
    site.push(path, tags_of(site))
    damage_tag(site.registry, path, "bad", kind)
    site.reconcile_all()
    site.user("owner", admin=True)
    site.namespace(site.root)
    browser = site.browser("owner")
    form = {"parent": site.root, "name": "found", "visibility": "private"}
    assert browser.post("/-/new/project", form).status_code == 302
    page = Page(browser.get(f"/{site.root}/found/-/images/app").text).text
    assert "1.0" in page
    assert "1 tag of this image can't be read" in page
    assert "Push it again, or remove it." in page


# -- pages and the API -----------------------------------------------------------


def test_the_list_and_the_page_of_the_tag_say_that_it_cannot_be_read(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    shop.reconcile(image)
    browser = shop.browser("maintainer")
    rows = Page(browser.get(f"/{shop.shop}/-/images/app/-/rows").text).text
    assert rows.count("Can't be read") == 1
    page = browser.get(f"/{shop.shop}/-/images/app/-/tags/bad")
    assert page.status_code == 200
    assert "This tag can't be read" in Page(page.text).text
    assert "What follows is what it stood for before." in Page(page.text).text


def test_the_page_of_a_damaged_tag_that_no_check_has_seen_marks_it(shop, image, kind):
    """It once took the row out of the index, because the registry said 404 for it."""
    damage_tag(shop.registry, image, "bad", kind)
    page = shop.browser("maintainer").get(f"/{shop.shop}/-/images/app/-/tags/bad")
    assert "This tag can't be read" in Page(page.text).text
    assert row_of(shop).damage == KINDS[kind]


def test_programs_read_which_tag_is_damaged_why_and_since_when(shop, image):
    damage_tag(shop.registry, image, "bad", "missing link")
    shop.reconcile(image)
    secret = shop.access_token("maintainer", "read_registry")
    answer = shop.app.test_client().get(
        f"/api/v4/projects/{shop.shop}/-/images/app/-/tags",
        headers={"Authorization": f"Bearer {secret}"},
    )
    found = {tag["name"]: tag["unreadable"] for tag in answer.json["tags"]}
    assert found["1.0"] is found["2.0"] is None
    assert "404" in found["bad"]["reason"]
    assert found["bad"]["since"]
