"""Choosing tags over several pages, the plan, its job, the trash: with and without JavaScript."""

from __future__ import annotations

import pytest

from registry_ui.demo.images import index
from tests.support.browser import window
from tests.support.live import tiny
from tests.support.stack import ADMIN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

ONE, TWO = tiny("one"), tiny("two")
BOTH = index([tiny("amd"), tiny("arm", platform="linux/arm64")])


@pytest.fixture
def project(stack):
    tags = {f"1.{n}": ONE for n in range(60)} | {"both": BOTH, "two": TWO}
    return stack.filled_place({"app": tags})


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_tags_of_two_pages_are_deleted_by_one_plan_and_one_comes_back(
    stack, browser, project, script
):
    with window(browser, stack.config.public_url, java_script_enabled=script) as made:
        made.be(stack, ADMIN)
        made.go(f"/{project}/-/images/app")
        made.page.get_by_label("Choose both", exact=True).check()
        made.button("Keep the choice for other pages").click()
        made.link("Next").click()
        made.says("1 tag chosen on other pages")
        made.page.get_by_label("Choose 1.58", exact=True).check()
        made.button("Delete chosen…").click()
        made.says("2 chosen tags")
        made.button("Show the plan").click()
        made.says("Nothing has happened yet")
        made.says("7 days")
        made.button("Delete 2 tags").click()
        made.until_it_says("Done: the registry confirmed every step.")
        made.says("2 in the trash")
        made.go(f"/{project}/-/trash")
        made.button(f"Restore {project}/app:both").click()
        made.says(f"{project}/app:both was restored.")
        made.go(f"/{project}/-/images/app/-/tags/both")
        made.says(BOTH.digest[7:19])
        assert made.go(f"/{project}/-/images/app/-/tags/1.58") == 404
        assert [p for p in made.problems if "404" not in p] == []
