"""The gate and immutable tags that the registry lists and can't read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from registry_ui.catalog import live_tags
from registry_ui.models import ProtectionRule, ProtectionViolation, Tag, TagClaim, utc_now
from tests.support.gate_requests import JSON, ask, assert_passes, assert_refused
from tests.support.html import Page
from tests.unit.hostile_registry import Answer
from tests.web.support import digest, event_of

APP = "acme/app"
HINT = " and can't be read: a Maintainer can push it again or remove it"
WORDS = "tag v1 is immutable in acme/app" + HINT
DAMAGES = {"missing": 404, "fault": 500}


@pytest.fixture(params=DAMAGES)
def damage(request):
    """How the registry fails to read a damaged tag."""
    return request.param


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Ask for a damaged tag again without a pause."""
    monkeypatch.setattr(live_tags, "PAUSES", (0.0, 0.0))


def holds(registry, readable, damaged=(), damage="missing"):
    """Let the registry read these tags by letter, and list others that it can't read."""

    def answer(asked):
        if asked.path.endswith("/tags/list"):
            return Answer(200, {"tags": sorted([*readable, *damaged])}, JSON)
        tag = asked.path.rpartition("/")[2]
        if tag in readable:
            return Answer(200, headers={"Docker-Content-Digest": digest(readable[tag])})
        code = "UNKNOWN" if tag in damaged and damage == "fault" else "MANIFEST_UNKNOWN"
        status = DAMAGES[damage] if tag in damaged else 404
        return Answer(status, {"errors": [{"code": code}]}, JSON)

    registry.answer = answer


@pytest.fixture(params=["marked", "not yet noticed"])
def released(gated_site, registry, damage, request):
    """A project whose immutable v1 was pushed, indexed, and damaged in the registry's storage."""
    gated_site.image(APP, "v1", "main", digests="ab")
    if request.param == "marked":
        gated_site.change(Tag, {"damage": damage}, name="v1")
    holds(registry, {"main": "b"}, ["v1"], damage)
    return gated_site


@pytest.mark.parametrize("who", ["maintainer", "owner", "admin"])
def test_a_damaged_immutable_tag_is_pushed_again_by_those_who_may_remove_it(released, who):
    assert_refused(ask(released, "PUT", "v1", "dev"), WORDS)
    assert released.rows(TagClaim) == []
    assert_passes(ask(released, "PUT", "v1", who))
    assert_passes(ask(released, "DELETE", "v1", who))


def test_its_content_can_be_pushed_again_by_its_digest(released):
    assert_passes(ask(released, "PUT", digest("a"), "dev"))


def test_a_tag_that_was_deleted_is_pushed_before_the_index_knows_of_it(gated_site, registry):
    gated_site.image(APP, "v1", "main", digests="ab")
    holds(registry, {"main": "b"})
    assert_passes(ask(gated_site, "PUT", "v1"))


def test_a_tag_that_is_only_still_listed_after_its_removal_is_new(gated_site, registry):
    gated_site.image(APP, "v1", "v2", digests="ab")
    gated_site.change(Tag, {"damage": "removed", "digest": None}, name="v1")
    holds(registry, {"v2": "b"}, ["v1"])
    assert_passes(ask(gated_site, "PUT", "v1"))


def test_a_tag_that_fails_once_is_readable(gated_site, registry):
    gated_site.image(APP, "v1", digests="a")
    holds(registry, {"v1": "a"})
    whole, failures = registry.answer, iter([Answer(500, {"errors": [{"code": "UNKNOWN"}]}, JSON)])
    registry.answer = lambda asked: next(failures, None) or whole(asked)
    for who in ("dev", "owner"):
        assert_refused(ask(gated_site, "PUT", "v1", who), "tag v1 is immutable in acme/app")


def test_a_rule_for_owners_holds_for_a_damaged_tag_too(released):
    released.rule(APP, "v*", "owner")
    words = "tag v1 is protected in acme/app: push needs Owner"
    assert_refused(ask(released, "PUT", "v1", "maintainer"), words)
    assert_passes(ask(released, "PUT", "v1", "owner"))


def test_a_damaged_signature_of_an_immutable_tag_is_not_replaced_either(
    gated_site, registry, damage
):
    tag = digest("a").replace(":", "-") + ".sig"
    gated_site.image(APP, "v1", tag, digests="ac")
    holds(registry, {"v1": "a"}, [tag], damage)
    words = f"tag {tag} belongs to v1, which is immutable in acme/app"
    assert_refused(ask(gated_site, "PUT", tag, "dev"), words + HINT)
    assert_passes(ask(gated_site, "PUT", tag, "maintainer"))


def test_what_a_damaged_tag_may_need_is_not_deleted_and_the_answer_says_what_helps(
    released, registry, damage
):
    words = "v1 can't be read, so what it may need stays in acme/app: "
    words += "let a Maintainer push it again or remove it"
    assert_refused(ask(released, "DELETE", digest("a")), words)
    assert_passes(ask(released, "DELETE", digest("b")))
    holds(registry, {"main": "b"}, ["v9"], damage)
    released.change(Tag, {"damage": "removed", "digest": None}, name="v1")
    assert_refused(ask(released, "DELETE", digest("b")), words.replace("v1", "v9"))


def test_a_new_tag_costs_the_registry_one_question(gated_site, registry):
    ask(gated_site, "PUT", "main")  # notes that the gate is in use
    holds(registry, {})
    assert_passes(ask(gated_site, "PUT", "v1"))
    assert len(registry.asked) == 1


def test_pages_say_who_can_push_a_damaged_tag_again(released, damage):
    released.app.config["SETTINGS"] = replace(released.app.config["SETTINGS"], gate=True)
    released.change(Tag, {"damage": damage}, name="v1")
    browser = released.browser("dev")
    advice = "It is immutable, so only Maintainers and Owners can push it again or remove it."
    for page in (f"/{APP}/-/images", f"/{APP}/-/tags/v1"):
        assert advice in Page(browser.get(page).text).text
    released.change(ProtectionRule, {"tag_pattern": "x*"})
    assert "Push it again, or remove it." in Page(browser.get(f"/{APP}/-/tags/v1").text).text


def test_other_content_in_its_place_is_shown_as_a_change_against_the_rule(released):
    released.change(ProtectionRule, {"created_at": utc_now() - timedelta(days=1)})
    released.deliver(event_of("push", APP, "v1", by="maintainer", digest=digest("a")))
    assert released.rows(ProtectionViolation) == []
    released.deliver(event_of("push", APP, "v1", by="maintainer", digest=digest("c")))
    assert released.row(ProtectionViolation).change == "overwritten"
