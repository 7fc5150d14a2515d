"""Removing damaged, immutable and orphaned tags: on pages, by the API and by command alike."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from registry_ui.demo.artifacts import signature, signature_tag
from registry_ui.models import ProtectionViolation, Removal, Tag
from registry_ui.names import TagName
from registry_ui.removals.planner import plan_tag
from tests.support.damage import damage_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")
RULE = "Tags bad of all images may be created, and are never overwritten or deleted."


@pytest.fixture
def image(shop: LiveSite) -> str:
    """An image with a damaged tag, which the index knows as such."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE, "2.0": TWO, "bad": tiny(f"bad {shop.root}")})
    damage_tag(shop.registry, path, "bad", "empty link")
    assert shop.reconcile(path).damaged == 1
    return path


@pytest.fixture
def immutable(shop: LiveSite, image: str) -> str:
    """The same, where a rule makes the damaged tag immutable."""
    shop.rule(shop.shop, "bad")
    return image


def page_of(site: LiveSite, tag: str = "bad") -> str:
    return f"/{site.shop}/-/images/app/-/tags/{tag}/-/delete"


def call(site: LiveSite, path: str, body: Any = None, username: str = "maintainer") -> Any:
    secret = site.access_token(username, "delete_registry", name=secrets.token_hex(4))
    return site.app.test_client().post(
        f"/api/v4/projects/{site.shop}/-/removals{path}",
        json=body if body is not None else {},
        headers={"Authorization": f"Bearer {secret}"},
    )


def command(site: LiveSite, *arguments: str) -> Any:
    return site.app.test_cli_runner().invoke(args=list(arguments))


# -- a damaged tag that a rule makes immutable -------------------------------------


def test_the_page_offers_to_remove_a_damaged_immutable_tag_and_asks_to_confirm(shop, immutable):
    browser = shop.browser("maintainer")
    page = browser.get(page_of(shop))
    assert f"{page_of(shop)}?despite_rules=1" in page.text
    assert browser.post(page_of(shop), Page(page.text).hidden).status_code == 422
    asked = Page(browser.get(page_of(shop) + "?despite_rules=1").text)
    assert RULE in asked.text
    assert browser.post(page_of(shop), asked.hidden).status_code == 422  # without the tick
    assert shop.rows(Removal) == []
    answer = browser.post(page_of(shop), {**asked.hidden, "despite_rules": "1"})
    assert answer.status_code == 302
    assert sorted(shop.pusher.tags(immutable)) == ["1.0", "2.0"]
    assert shop.index(immutable) == {"1.0": ONE.digest, "2.0": TWO.digest}
    audited = [entry[1:] for entry in shop.audit() if "despite" in str(entry)]
    assert audited == [("tag.delete_despite_rule", f"{immutable}:bad")]
    assert shop.rows(ProtectionViolation) == []


def test_the_api_removes_a_damaged_immutable_tag_if_plan_and_confirmation_say_so(shop, immutable):
    refused = call(shop, "", {"image": "app", "tags": ["bad"]}).json["plan"]
    assert refused["overridable"] == [f"{immutable}:bad"]
    assert "it can be removed despite the rule" in refused["refused"][0][1]
    planned = call(shop, "", {"image": "app", "tags": ["bad"], "despite_rules": True})
    assert planned.status_code == 201
    assert planned.json["plan"]["despite"] == [[f"{immutable}:bad", RULE]]
    number = planned.json["id"]
    denied = call(shop, f"/{number}/confirm")
    assert denied.status_code == 422
    assert RULE in denied.text
    assert "bad" in shop.pusher.tags(immutable)
    assert call(shop, f"/{number}/confirm", {"despite_rules": True}).status_code == 202
    assert "bad" not in shop.pusher.tags(immutable)


def test_a_plan_of_a_program_is_confirmed_on_its_page_only_with_the_tick(shop, immutable):
    body = {"image": "app", "tags": ["bad"], "despite_rules": True}
    number = call(shop, "", body).json["id"]
    address = f"/{shop.shop}/-/removals/{number}"
    assert RULE in shop.page(address).text
    browser = shop.browser("maintainer")
    assert browser.post(f"{address}/confirm").status_code == 422
    assert browser.post(f"{address}/confirm", {"despite_rules": "1"}).status_code == 302
    assert "bad" not in shop.pusher.tags(immutable)


def test_a_rule_that_is_made_after_the_plan_keeps_it(shop, immutable):
    body = {"image": "app", "tags": ["bad"], "despite_rules": True}
    number = call(shop, "", body).json["id"]
    shop.rule(shop.shop, "b*")
    assert call(shop, f"/{number}/confirm", {"despite_rules": True}).status_code == 403
    assert "bad" in shop.pusher.tags(immutable)


def test_a_rule_that_only_owners_pass_is_not_set_aside(shop, image):
    shop.rule(shop.shop, "bad", "owner")
    plan = call(shop, "", {"image": "app", "tags": ["bad"], "despite_rules": True}).json["plan"]
    assert (plan["despite"], plan["overridable"]) == ([], [])
    assert plan["refused"]


def test_a_readable_tag_is_kept_by_its_rule_whatever_is_asked(shop, image):
    shop.rule(shop.shop, "1.0")
    plan = call(shop, "", {"image": "app", "tags": ["1.0"], "despite_rules": True}).json["plan"]
    assert (plan["despite"], plan["overridable"], plan["removes"]) == ([], [], [])


def test_the_command_removes_a_damaged_immutable_tag_with_the_option_for_it(shop, immutable):
    refused = command(shop, "tag", "delete", f"{immutable}:bad", "--yes")
    assert refused.exit_code == 1
    assert "Add --despite-rules." in refused.output
    done = command(shop, "tag", "delete", f"{immutable}:bad", "--yes", "--despite-rules")
    assert done.exit_code == 0, done.output
    assert RULE in done.output
    assert "bad" not in shop.pusher.tags(immutable)


# -- what can't be restored, and what can't be read --------------------------------


def test_page_api_and_command_say_that_a_damaged_tag_cannot_be_restored(shop, image):
    shop.app.config["SETTINGS"] = replace(shop.config, trash_days=7)
    words = "can't be restored"
    assert words in shop.page(page_of(shop)).text
    plan = call(shop, "", {"image": "app", "tags": ["bad"]}).json["plan"]
    assert any(words in note for note in plan["notes"])
    done = command(shop, "tag", "delete", f"{image}:bad", "--yes")
    assert done.exit_code == 0, done.output
    assert words in done.output
    assert "bad" not in shop.pusher.tags(image)


def test_a_dry_run_by_command_names_what_cannot_be_read(shop, image):
    done = command(shop, "tags", "delete", image, "--matching", "1.*", "--dry-run")
    assert done.exit_code == 0, done.output
    assert f"unread   {image}:bad" in done.output
    assert "1.0" in shop.pusher.tags(image)


# -- orphans -----------------------------------------------------------------------


@pytest.fixture
def orphaned(shop: LiveSite) -> str:
    """An image with the signature of something that is gone, and one of something that is not."""
    path = f"{shop.shop}/app"
    tags = {"1.0": ONE, signature_tag(ONE): signature(ONE, path)}
    shop.push_and_index(path, {**tags, signature_tag(TWO): signature(TWO, path)})
    return path


def test_the_api_removes_orphans(shop, orphaned):
    planned = call(shop, "", {"image": "app", "orphans": True})
    assert planned.status_code == 201, planned.text
    removes = [tag["reference"] for tag in planned.json["plan"]["removes"]]
    assert removes == [f"{orphaned}:{signature_tag(TWO)}"]
    assert call(shop, f"/{planned.json['id']}/confirm").status_code == 202
    assert sorted(shop.live(orphaned)) == sorted(["1.0", signature_tag(ONE)])


def test_the_api_refuses_orphans_with_names_or_with_everything(shop, orphaned):
    for more in ({"tags": ["1.0"]}, {"all": True}):
        answer = call(shop, "", {"image": "app", "orphans": True, **more})
        assert answer.status_code == 422, more
        assert "contradict each other" in answer.text


def test_the_command_removes_orphans(shop, orphaned):
    done = command(shop, "tags", "delete", orphaned, "--orphans", "--yes")
    assert done.exit_code == 0, done.output
    assert sorted(shop.live(orphaned)) == sorted(["1.0", signature_tag(ONE)])


# -- pages -------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_page_that_meets_a_damaged_tag_marks_it_at_once(shop):
    path = f"{shop.shop}/app"
    shop.push_and_index(path, {"1.0": ONE, "bad": tiny(f"bad {shop.root}")})
    damage_tag(shop.registry, path, "bad", "ghost")
    page = shop.page(f"/{shop.shop}/-/images/app").text
    assert "1 tag of this image can't be read" in page
    assert shop.row(Tag, name="bad").damage == "missing"


def test_a_tag_that_was_removed_beside_a_damaged_one_is_not_to_be_removed_again(shop, image):
    shop.run(shop.start(plan_tag, image, TagName("1.0")))
    if "1.0" not in shop.pusher.tags(image):
        return  # 3.x deletes it, whatever lies beside it
    text = shop.page(f"/{shop.shop}/-/images/app/-/rows/1.0").text
    assert "it was removed" in text
    assert "or remove it" not in text
    assert "or remove it" not in shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0").text


def test_a_comparison_says_of_a_damaged_tag_that_it_cannot_be_read(shop, image):
    page = shop.page(f"/-/compare?from={image}:bad&to={image}:1.0").text
    assert "This tag can't be read" in page
    assert "Not asked" not in page
