"""Patterns in forms: what they match now while somebody types, and a keep pattern that is wrong."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.browser import window
from tests.support.live import tiny
from tests.support.stack import ADMIN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]


@pytest.fixture
def project(stack):
    tags = {tag: tiny(tag) for tag in ("v1", "v2", "latest")}
    return stack.filled_place({"web": tags, "team/api": tags})


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_policy_that_would_keep_nothing_by_name_is_confirmed_first(
    stack, browser, project, script
):
    with window(browser, stack.config.public_url, java_script_enabled=script) as made:
        made.be(stack, ADMIN)
        made.go(f"/{project}/-/retention")
        page = made.page
        page.get_by_label("Images").press_sequentially("team/**")
        page.get_by_label("Keep tags that match").press_sequentially("v*, KEEP")
        page.get_by_label("Only remove tags older").fill("30")
        if script:
            made.says("Matches 2 of 3 tags in 1 image now.")
        made.button("Save and make a dry run").click()
        made.says("No tag matches “KEEP” now")
        made.says("Matches 2 of 3 tags in 1 image now.")
        page.get_by_label("Save it with KEEP").check()
        made.button("Save and make a dry run").click()
        made.says("The pattern “team/**” matches 3 tags in 1 image now.")
        made.says("No tag matches “KEEP” now: nothing is kept by it.")
        problems = [text for text in made.problems if "422" not in text]
        assert problems == [], "a refused form is no problem"


def test_forms_of_rules_and_removals_count_while_somebody_types(stack, browser, project):
    with window(browser, stack.config.public_url) as made:
        made.be(stack, ADMIN)
        found = made.page.locator("#matches")
        made.go(f"/{project}/-/protection")
        made.page.get_by_role("textbox", name="Tags").press_sequentially("v?, {")
        expect(found).to_contain_text("“{” can't be part of a tag.")
        made.page.get_by_role("textbox", name="Tags").press("Backspace")
        expect(found).to_contain_text("Matches 4 of 6 tags in 2 images now.")
        made.page.get_by_text("How patterns are written").click()
        made.says("team/* matches team/web, not team/a/web")
        made.go(f"/{project}/-/images/web/-/delete-tags")
        made.page.get_by_role("textbox", name="Matches").press_sequentially("v*, latest")
        expect(found).to_contain_text("Matches 3 of 3 tags now.")
        assert made.problems == []
