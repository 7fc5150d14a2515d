"""Removals when the registry refuses or goes away, and when the worker dies on the way."""

from __future__ import annotations

import itertools

import pytest

from registry_ui.demo.images import DOCKER, index
from registry_ui.models import Removal
from registry_ui.names import TagName
from registry_ui.removals.planner import plan_image, plan_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny
from tests.support.live_removals import kill_removal, outcomes_of

pytestmark = pytest.mark.contract

SWITCHED_OFF = "Deletion is switched off in the registry."
ONE, TWO = tiny("one"), tiny("two", family=DOCKER)
BOTH = index([tiny("amd"), tiny("arm", platform="linux/arm64")])
TAGS = {"1.0": ONE, "latest": ONE, "2.0": TWO, "both": BOTH}
DIGESTS = {tag: manifest.digest for tag, manifest in TAGS.items()}


class Died(BaseException):
    """The worker ended here: nothing of it may handle this."""


@pytest.fixture
def image(own_site: LiveSite) -> str:
    """An image with several tags, in a registry that the test may stop."""
    path = f"{own_site.shop}/app"
    own_site.push_and_index(path, TAGS)
    return path


def page_of(site: LiveSite, what: str = "") -> str:
    return f"/{site.shop}/-/images/app{what}/-/delete"


def with_deletion(site: LiveSite, *, on: bool) -> None:
    site.registry.stop()
    site.registry.deletion = on
    site.registry.start()


def unchanged(site: LiveSite, image: str) -> bool:
    """Whether every tag still points to the same digest, in the registry and in the index."""
    return site.live(image) == site.index(image) == DIGESTS


# -- deletion is switched off ----------------------------------------------------


@pytest.mark.parametrize("what", ["/-/tags/1.0", "/-/tags/2.0", ""], ids=["tag", "last", "image"])
def test_with_deletion_switched_off_the_preview_says_so_and_changes_nothing(own_site, image, what):
    with_deletion(own_site, on=False)
    browser = own_site.browser("maintainer")
    form = {"digest": ONE.digest, "confirm": image}
    page = page_of(own_site, what)
    for answer in (browser.get(page), browser.post(page, form)):
        assert answer.status_code == 502
        text = Page(answer.text).text
        assert SWITCHED_OFF in text
        assert "storage.delete.enabled: true" in text
    assert own_site.rows(Removal) == []
    assert unchanged(own_site, image)


@pytest.mark.parametrize("tag", ["1.0", "2.0", "both"])
def test_switched_off_after_the_confirmation_no_tag_is_moved(own_site, image, tag):
    started = own_site.start(plan_tag, image, TagName(tag))
    with_deletion(own_site, on=False)
    done = own_site.run(started)
    (line,) = own_site.report(done.id)
    assert (done.state, line["outcome"]) == ("failed", "failed")
    assert SWITCHED_OFF in line["detail"]
    assert unchanged(own_site, image)


def test_switched_off_after_the_confirmation_no_image_goes(own_site, image):
    started = own_site.start(plan_image, image)
    with_deletion(own_site, on=False)
    done = own_site.run(started)
    assert done.state == "failed"
    assert SWITCHED_OFF in own_site.report(done.id)[-1]["detail"]
    assert unchanged(own_site, image)
    page = own_site.browser("maintainer").get(f"/{own_site.shop}/-/removals/{started}")
    assert SWITCHED_OFF in Page(page.text).text


def test_the_command_fails_where_deletion_is_switched_off(own_site, image):
    with_deletion(own_site, on=False)
    runner = own_site.app.test_cli_runner()
    done = runner.invoke(args=["tag", "delete", f"{image}:1.0", "--yes"])
    assert done.exit_code == 1
    assert SWITCHED_OFF in done.output
    assert unchanged(own_site, image)


def test_a_registry_that_is_read_only_is_not_called_one_without_deletion(own_site, image):
    started = own_site.start(plan_tag, image, TagName("1.0"))
    own_site.registry.stop()
    own_site.registry.read_only = True
    own_site.registry.start()
    answer = own_site.browser("maintainer").get(page_of(own_site, "/-/tags/1.0"))
    assert answer.status_code == 502
    assert "The registry is read-only" in Page(answer.text).text
    assert "delete.enabled" not in answer.text
    done = own_site.run(started)
    assert done.state == "failed"
    assert "The registry is read-only" in own_site.report(done.id)[-1]["detail"]
    assert unchanged(own_site, image)


# -- the registry goes away ------------------------------------------------------


def test_with_the_registry_down_nothing_is_promised_and_nothing_changes(own_site, image):
    own_site.registry.stop()
    browser = own_site.browser("maintainer")
    for page in (page_of(own_site, "/-/tags/1.0"), page_of(own_site)):
        answer = browser.get(page)
        assert answer.status_code == 502
        assert "The registry could not be asked" in Page(answer.text).text
    own_site.registry.start()
    assert unchanged(own_site, image)


def test_the_registry_stops_between_confirmation_and_deed_and_nothing_changes(own_site, image):
    started = own_site.start(plan_tag, image, TagName("1.0"))
    own_site.registry.stop()
    done = own_site.run(started, patience=0.1)
    assert done.state == "waiting"
    assert "The registry does not answer" in done.problem
    assert own_site.index(image) == DIGESTS
    own_site.registry.start()
    assert unchanged(own_site, image)
    assert own_site.run(started).state == "done"
    assert "1.0" not in own_site.live(image)


def test_the_registry_stops_in_the_middle_and_the_index_keeps_what_it_still_has(own_site, image):
    client = own_site.app.extensions["registry"]
    delete, calls = client.delete_manifest, itertools.count(1)

    def then_stop(*arguments):
        delete(*arguments)
        if next(calls) == 2:
            own_site.registry.stop()

    started = own_site.start(plan_image, image)
    with own_site.patched("delete_manifest", then_stop):
        done = own_site.run(started, patience=0.1)
    assert done.state == "waiting"
    assert "reached" in done.problem
    assert own_site.index(image) == DIGESTS  # what it could not ask about, it did not touch
    own_site.registry.start()
    left = own_site.live(image)
    assert 0 < len(left) < len(TAGS)
    own_site.reconcile(image)
    assert own_site.index(image) == left
    assert own_site.run(started).state == "done"
    assert own_site.live(image) == {}
    assert own_site.index(image) is None


# -- the worker dies -------------------------------------------------------------


def dies_in(site: LiveSite, method: str, started: int) -> None:
    """Run a removal whose worker ends in a call to the registry."""

    def die(*_arguments):
        raise Died

    with site.patched(method, die), pytest.raises(Died):
        site.run(started)
    assert site.removal(started).state == "running"


@pytest.mark.parametrize("method", ["head", "put_blob", "put_manifest"])
def test_a_removal_whose_worker_died_is_finished_by_the_next(shop, method):
    if shop.registry.version != "2.8" and method != "head":
        pytest.skip("3.x needs no placeholder")
    path = f"{shop.shop}/app"
    shop.push_and_index(path, TAGS)
    started = shop.start(plan_tag, path, TagName("1.0"))
    dies_in(shop, method, started)
    assert shop.live(path) == DIGESTS
    shop.resume()
    assert outcomes_of(shop, started) == ["deleted"]
    assert shop.live(path) == {tag: d for tag, d in DIGESTS.items() if tag != "1.0"}


def test_while_another_worker_holds_a_removal_nobody_else_takes_it(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, TAGS)
    started = shop.start(plan_tag, path, TagName("1.0"))
    dies_in(shop, "head", started)
    assert shop.run(started) is None
    assert shop.live(path) == DIGESTS


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_placeholder_and_its_deletion_the_next_worker_finishes(shop, when):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, TAGS)
    started = shop.start(plan_tag, path, TagName("1.0"))
    kill_removal(shop, started, when)
    placeholder_left = when == "before" and shop.registry.version == "2.8"
    tags = shop.live(path)
    assert ("1.0" in tags) == placeholder_left
    assert tags.get("1.0") != ONE.digest
    shop.resume()
    assert outcomes_of(shop, started) == ["deleted" if placeholder_left else "gone already"]
    assert shop.live(path) == {tag: d for tag, d in DIGESTS.items() if tag != "1.0"}
    assert set(shop.index(path)) == set(shop.live(path))


def test_killed_in_the_middle_of_an_image_the_next_worker_finishes(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, TAGS)
    started = shop.start(plan_image, path)
    kill_removal(shop, started, "after")
    assert 0 < len(shop.live(path)) < len(TAGS)
    shop.resume()
    assert outcomes_of(shop, started) == ["deleted"]
    assert shop.live(path) == {}
    assert shop.index(path) is None


def test_a_placeholder_whose_worker_died_is_not_taken_for_an_image_by_others(shop):
    """A tag pushed again over the placeholder is its new owner's, and is kept."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, TAGS)
    started = shop.start(plan_tag, path, TagName("1.0"))
    kill_removal(shop, started, "before" if shop.registry.version == "2.8" else "after")
    shop.push(path, {"1.0": TWO})
    shop.resume()
    assert outcomes_of(shop, started) == ["kept"]
    assert shop.live(path) == {**DIGESTS, "1.0": TWO.digest}
