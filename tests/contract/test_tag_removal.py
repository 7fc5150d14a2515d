"""Deleting one tag, and no other, on every major version: issue 2, "Deletion"."""

from __future__ import annotations

import pytest

from registry_ui.demo.artifacts import signature, signature_tag
from registry_ui.demo.images import DOCKER, index
from registry_ui.models import ContainerImage, Removal
from registry_ui.names import TagName
from registry_ui.removals.planner import plan_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")
BOTH = {
    "oci": index([tiny("amd"), tiny("arm", platform="linux/arm64")]),
    "docker": index(
        [tiny("amd", family=DOCKER), tiny("arm", family=DOCKER, platform="linux/arm64")],
        family=DOCKER,
    ),
}


def delete_page(image: str, tag: str) -> str:
    """The address of the page that deletes a tag. ``image`` is below the root and the project."""
    root, shop, *name = image.split("/")
    below = "/-/images/" + "/".join(name) if name else ""
    return f"/{root}/{shop}{below}/-/tags/{tag}/-/delete"


def preview(site: LiveSite, image: str, tag: str) -> Page:
    answer = site.browser("maintainer").get(delete_page(image, tag))
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def delete(site: LiveSite, image: str, tag: str, digest: str, **more: bool):
    """Confirm the preview, which is of this digest."""
    assert site.live(image)[tag] == digest
    browser = site.browser("maintainer")
    return browser.post(delete_page(image, tag), preview(site, image, tag).hidden, **more)


def test_one_of_several_tags_on_a_digest_goes_and_its_siblings_stay_readable(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "1": ONE, "latest": ONE, "2.0": TWO})
    answer = delete(shop, image, "1", ONE.digest, follow_redirects=True)
    assert "app:1: deleted." in Page(answer.text).text
    left = {"1.0": ONE.digest, "latest": ONE.digest, "2.0": TWO.digest}
    assert shop.live(image) == left
    assert shop.index(image) == left


@pytest.mark.parametrize("family", BOTH)
def test_a_tag_of_an_index_goes_and_its_sibling_keeps_every_platform(shop, family):
    image, both = f"{shop.shop}/app", BOTH[family]
    shop.push_and_index(image, {"1.0": both, "latest": both})
    delete(shop, image, "latest", both.digest)
    assert shop.live(image) == {"1.0": both.digest}
    for child in both.children:
        assert shop.pusher.digest(image, child.digest) == child.digest


def test_the_signature_of_a_deleted_tag_stays_as_the_preview_says(shop):
    image, proof = f"{shop.shop}/app", signature_tag(ONE)
    shop.push_and_index(image, {"1.0": ONE, proof: signature(ONE, image)})
    page = preview(shop, image, "1.0")
    assert proof in page.section("What stays")
    assert proof not in page.section("What goes")
    delete(shop, image, "1.0", ONE.digest)
    assert list(shop.live(image)) == [proof]


def test_the_preview_names_what_goes_and_what_stays_and_changes_nothing(shop):
    image, both = f"{shop.shop}/app", BOTH["oci"]
    shop.push_and_index(image, {"1.0": both, "stable": both, "other": TWO})
    before = shop.live(image)
    page = preview(shop, image, "1.0")
    goes, stays = page.section("What goes"), page.section("What stays")
    assert f"{image}:1.0" in goes
    assert "stable" in stays
    assert "stable" not in goes
    assert "other" not in goes
    ways = {"2.8": "placeholder", "3": "deletes by tag"}
    assert {version for version, words in ways.items() if words in page.text} == {
        shop.registry.version
    }
    assert shop.live(image) == shop.index(image) == before
    assert shop.rows(Removal) == []


def test_with_its_last_tag_the_image_goes_and_the_project_stays(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    answer = delete(shop, image, "1.0", ONE.digest)
    assert answer.headers["Location"] == f"/{shop.shop}"
    assert shop.live(image) == {}
    assert shop.index(image) is None
    assert shop.browser("maintainer").get(f"/{shop.shop}").status_code == 200
    assert shop.browser("maintainer").get(f"/{shop.shop}/-/images/app").status_code == 404


def test_a_tag_of_the_root_image_goes(shop):
    shop.push_and_index(shop.shop, {"1.0": ONE, "2.0": TWO})
    answer = delete(shop, shop.shop, "1.0", ONE.digest)
    assert answer.headers["Location"] == f"/{shop.shop}/-/images"
    assert shop.live(shop.shop) == {"2.0": TWO.digest}


def test_a_deleted_tag_can_be_pushed_again(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    delete(shop, image, "1.0", ONE.digest)
    shop.push_and_index(image, {"1.0": ONE})
    assert shop.live(image) == shop.index(image) == {"1.0": ONE.digest}


def test_the_preview_of_the_only_tag_of_an_index_names_the_platforms_that_go(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": BOTH["docker"]})
    goes = preview(shop, image, "1.0").section("What goes")
    assert "linux/amd64" in goes
    assert "linux/arm64" in goes


def test_a_tag_pushed_again_between_preview_and_confirmation_is_not_deleted(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "latest": ONE})
    seen = preview(shop, image, "1.0").hidden
    shop.push(image, {"1.0": TWO})
    answer = shop.browser("maintainer").post(delete_page(image, "1.0"), seen)
    assert answer.status_code == 422
    assert "pushed since you saw the preview. Look again." in Page(answer.text).text
    assert shop.live(image) == {"1.0": TWO.digest, "latest": ONE.digest}
    assert shop.rows(Removal) == []


def test_a_tag_pushed_again_between_confirmation_and_deed_is_kept(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "latest": ONE})
    started = shop.start(plan_tag, image, TagName("1.0"))
    shop.push(image, {"1.0": TWO})
    done = shop.run(started)
    (line,) = shop.report(done.id)
    assert (done.state, line["outcome"]) == ("done", "kept")
    assert shop.live(image) == {"1.0": TWO.digest, "latest": ONE.digest}


def test_a_tag_that_somebody_else_deleted_meanwhile_is_reported_as_gone(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    started = shop.start(plan_tag, image, TagName("1.0"))
    shop.pusher.delete(image, ONE.digest)
    done = shop.run(started)
    line = shop.report(done.id)[0]
    assert (done.state, line["outcome"]) == ("done", "gone already")
    assert shop.live(image) == shop.index(image) == {"2.0": TWO.digest}


def test_a_tag_that_the_registry_does_not_have_cannot_be_previewed(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    shop.pusher.delete(image, ONE.digest)
    answer = shop.browser("maintainer").get(delete_page(image, "1.0"))
    assert answer.status_code == 404
    assert "The registry has no such tag." in Page(answer.text).text


def test_a_developer_may_not_delete_and_nothing_changes(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.user("developer")
    shop.member(shop.shop, "developer", "developer")
    browser = shop.browser("developer")
    assert browser.get(delete_page(image, "1.0")).status_code == 403
    assert browser.post(delete_page(image, "1.0"), {"digest": ONE.digest}).status_code == 403
    assert shop.live(image) == {"1.0": ONE.digest}


@pytest.mark.both_databases
def test_the_command_deletes_one_tag_and_says_what_it_keeps(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "latest": ONE})
    done = shop.app.test_cli_runner().invoke(args=["tag", "delete", f"{image}:1.0", "--yes"])
    assert done.exit_code == 0, done.output
    assert f"keeps    {image}:latest" in done.output
    assert f"deleted: {image}:1.0" in done.output
    assert shop.live(image) == shop.index(image) == {"latest": ONE.digest}


def test_the_command_asks_first_and_a_no_changes_nothing(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    runner = shop.app.test_cli_runner()
    done = runner.invoke(args=["tag", "delete", f"{image}:1.0"], input="n\n")
    assert done.exit_code == 1
    assert shop.live(image) == {"1.0": ONE.digest}
    assert shop.rows(ContainerImage)[0].tag_count == 1
