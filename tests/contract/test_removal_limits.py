"""Removals where the index is behind the registry, and of things that are unusually built."""

from __future__ import annotations

import threading

import pytest

from registry_ui.demo.images import Manifest, Platform, Step, image, index
from registry_ui.models import Removal, RepositoryManifest, Tag
from registry_ui.names import TagName
from registry_ui.removals.planner import plan_image, plan_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny
from tests.web.support import event_of

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")


def children(count: int) -> list[Manifest]:
    """So many images without layers, each for a platform of its own."""
    return [image([Step(f"CMD {n}")], platform=f"linux/p{n}") for n in range(count)]


def delete_image(site: LiveSite, path: str, name: str = "app") -> Removal:
    """Open the preview of an image and confirm it; return the removal."""
    assert site.confirm(f"/{site.shop}/-/images/{name}/-/delete", path).status_code == 302
    found: Removal = site.rows(Removal)[-1]
    return found


@pytest.mark.parametrize("tag", ["1.0", "new"], ids=["moved", "added"])
def test_a_tag_pushed_while_the_preview_of_an_image_is_read_is_not_deleted(shop, tag):
    """It is in no list that anybody has seen: kept, or refused with a look at the new list."""
    path, address = f"{shop.shop}/app", f"/{shop.shop}/-/images/app/-/delete"
    shop.push_and_index(path, {"1.0": ONE, "2.0": ONE})
    browser = shop.browser("maintainer")
    seen = Page(browser.get(address).text)
    shop.push_and_tell(path, {tag: TWO})
    answer = browser.post(address, {**seen.hidden, "confirm": path})
    assert answer.status_code in {302, 409, 422}
    assert shop.live(path)[tag] == TWO.digest


def test_an_image_pushed_while_the_preview_of_its_project_is_read_is_not_deleted(shop):
    path, address = f"{shop.shop}/app", f"/{shop.shop}/-/delete"
    shop.user("owner")
    shop.member(shop.shop, "owner", "owner")
    shop.push_and_index(path, {"1.0": ONE})
    browser = shop.browser("owner")
    seen = Page(browser.get(address).text)
    shop.push_and_tell(f"{shop.shop}/fresh", {"1.0": TWO})
    answer = browser.post(address, {**seen.hidden, "confirm": shop.shop})
    assert answer.status_code in {302, 409, 422}
    assert shop.live(f"{shop.shop}/fresh") == {"1.0": TWO.digest}


def test_an_image_of_which_the_index_missed_a_push_goes_all_the_same(shop):
    """The push came before the preview: nothing was pushed since."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE, "2.0": ONE})
    shop.push(path, {"1.0": TWO})
    delete_image(shop, path)
    assert shop.live(path) == {}
    assert shop.index(path) is None


def test_a_tag_whose_digest_the_index_never_learnt_is_kept_if_it_moves_after_the_preview(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE, "2.0": ONE})
    shop.change(Tag, {"digest": None}, name="1.0")
    started = shop.start(plan_image, path)
    shop.push(path, {"1.0": TWO})
    shop.run(started)
    assert shop.live(path) == {"1.0": TWO.digest}


def test_the_preview_of_a_tag_names_siblings_that_the_index_has_not_heard_of(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE})
    shop.push(path, {"sibling": ONE})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0/-/delete")
    assert "sibling" in page.section("What stays")
    assert "No other tag points to this image" not in page.text


def test_every_child_of_a_large_index_goes_with_its_image(shop):
    path, parts = f"{shop.shop}/app", children(70)
    shop.push_and_index(path, {"1.0": index(parts)})
    delete_image(shop, path)
    assert [part for part in parts if shop.pusher.digest(path, part.digest)] == []


def test_after_a_push_everything_below_a_large_index_is_read(shop):
    """Also an index behind the 64th entry, so that a pull of its platforms is use of the tag."""
    path, parts = f"{shop.shop}/app", children(70)
    shop.push_and_tell(path, {"1.0": index([*parts, index([ONE, TWO])])})
    assert len(shop.rows(RepositoryManifest)) == 70 + 3
    shop.deliver(event_of("pull", path, digest=TWO.digest))
    assert shop.row(Tag, name="1.0").last_pulled_at is not None
    storage = shop.page(f"/{shop.shop}/-/storage")
    assert "Of 1 tag the contents of 1 are known." in storage.text


def test_every_child_of_a_large_index_pushed_since_the_preview_stays(shop):
    path, parts = f"{shop.shop}/app", children(70)
    shop.push_and_index(path, {"last": parts[-1]})
    started = shop.start(plan_image, path)
    shop.push(path, {"new": index(parts)})
    shop.run(started)
    assert shop.live(path)["new"] == index(parts).digest
    assert [part for part in parts if not shop.pusher.digest(path, part.digest)] == []


def test_an_index_in_an_index_pushed_since_the_preview_keeps_all_that_it_needs(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE})
    started = shop.start(plan_image, path)
    shop.push(path, {"nested": index([index([ONE]), TWO])})
    shop.run(started)
    assert shop.pusher.digest(path, ONE.digest) == ONE.digest


def test_an_index_in_an_index_goes_with_all_its_parts(shop):
    path, inner = f"{shop.shop}/app", index([ONE, TWO])
    shop.push_and_index(path, {"nested": index([inner])})
    delete_image(shop, path)
    assert shop.live(path) == {}
    for part in (inner, ONE, TWO):
        assert shop.pusher.digest(path, part.digest) is None


@pytest.mark.both_databases
def test_siblings_deleted_at_the_same_moment_are_both_gone_and_the_third_stays(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"a": ONE, "b": ONE, "c": ONE})
    started = [shop.start(plan_tag, path, TagName(tag)) for tag in ("a", "b")]
    threads = [threading.Thread(target=shop.run, args=(number,)) for number in started]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [shop.removal(number).state for number in started] == ["done", "done"]
    assert shop.live(path) == {"c": ONE.digest}


def test_a_tag_pushed_over_the_placeholder_stays_whole(shop):
    """Between placeholder and deletion somebody pushes the tag again: 2.8 deletes by digest."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE, "latest": ONE})
    client = shop.app.extensions["registry"]
    put = client.put_manifest

    def put_and_be_overtaken(*arguments):
        digest = put(*arguments)
        shop.push(path, {"1.0": TWO})
        return digest

    with shop.patched("put_manifest", put_and_be_overtaken):
        shop.run(shop.start(plan_tag, path, TagName("1.0")))
    expected = {"latest": ONE.digest}
    if shop.registry.version == "2.8":
        expected["1.0"] = TWO.digest
    assert shop.live(path) == expected


def test_platforms_of_an_index_are_named_even_if_they_are_the_same_image(shop):
    path = f"{shop.shop}/app"
    arm = Manifest(ONE.media_type, ONE.data, blobs=ONE.blobs, platform=Platform("linux", "arm"))
    shop.push_and_index(path, {"1.0": index([ONE, arm]), "2.0": TWO})
    answer = shop.browser("maintainer").get(f"/{shop.shop}/-/images/app/-/tags/1.0/-/delete")
    goes = Page(answer.text).section("What goes")
    assert "linux/amd64" in goes
    assert "linux/arm" in goes


@pytest.mark.parametrize("trash_days", ["", "?for_good=1"], ids=["with the trash", "for good"])
@pytest.mark.parametrize("what", ["app/-/tags/1.0", "app"], ids=["tag", "image"])
def test_the_preview_of_what_a_rule_keeps_says_why_and_offers_no_deletion(shop, what, trash_days):
    path, address = f"{shop.shop}/app", f"/{shop.shop}/-/images/{what}/-/delete{trash_days}"
    shop.push_and_index(path, {"1.0": ONE})
    shop.rule(shop.shop, "1.*")
    page = shop.page(address)
    assert f"{path}:1.0 tag 1.0 is immutable in {path}" in page.section("What stays")
    assert "Protection rules" in page.text
    assert "to confirm" not in page.text
    assert "digest" not in page.hidden
    answer = shop.browser("maintainer").post(address, {"confirm": path})
    assert answer.status_code == 422
    assert "a protection rule keeps it" in answer.text
    assert shop.live(path) == {"1.0": ONE.digest}
    assert shop.rows(Removal) == []
