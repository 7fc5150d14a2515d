"""The tree of a project and an image's list of tags, with JavaScript, without, and by keys."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import window
from tests.support.live import tiny

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

ONE, TWO = tiny("one"), tiny("two")


@pytest.fixture(scope="module")
def project(stack):
    """A public project with 40 images below folders, and one of 60 tags."""
    project = stack.place("public")
    client = stack.client(stack.developer(project))
    client.put(project, "root", TWO)
    for number in range(40):
        client.put(f"{project}/apps/team{number % 4}/svc{number}", "1.0", ONE)
    client.push(f"{project}/many", {f"1.{minor}": ONE for minor in range(60)})
    client.put(f"{project}/many", "2.0", TWO)
    stack.wait_for_tags(project, "many", {"1.59", "2.0"})
    return project


def folder(page, name: str):
    return page.locator("summary", has_text=re.compile(rf"Names in apps/{name}\s*$"))


def focused(page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


# -- the tree --------------------------------------------------------------------


def test_what_is_typed_filters_the_tree_opens_what_matches_and_is_in_the_address(project, visitor):
    visitor.go(f"/{project}")
    page = visitor.page
    expect(visitor.link("svc31")).to_be_hidden()
    page.get_by_label("Search images").press_sequentially("SVC3")
    expect(visitor.link("svc31")).to_be_visible()
    visitor.says("11 of 42 images match “SVC3”")
    expect(visitor.link("svc1")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"\?q=SVC3$"))
    page.get_by_label("Search images").fill("**/svc3")
    visitor.says("1 of 42 images matches")
    page.go_back()
    visitor.says("11 of 42 images match")
    expect(page.get_by_label("Search images")).to_have_value("SVC3")
    page.go_back()
    expect(folder(page, "team1")).to_be_visible()
    expect(visitor.link("svc31")).to_be_hidden()


def test_without_javascript_the_tree_is_filtered_and_opened_all_the_same(
    project, scriptless_visitor
):
    scriptless_visitor.go(f"/{project}")
    page = scriptless_visitor.page
    folder(page, "team1").click()
    expect(scriptless_visitor.link("svc1")).to_be_visible()
    page.get_by_label("Search images").fill("svc31")
    scriptless_visitor.button("Search").click()
    expect(scriptless_visitor.link("svc31")).to_be_visible()
    scriptless_visitor.says("1 of 42 images matches")
    scriptless_visitor.link("Clear").click()
    scriptless_visitor.link("Last push").click()
    assert scriptless_visitor.path == f"/{project}?sort=pushed&order=desc"
    page.get_by_label("Search images").fill("nothing*")
    scriptless_visitor.button("Search").click()
    scriptless_visitor.says("No image matches “nothing*”.")
    assert "sort=pushed" in scriptless_visitor.path
    scriptless_visitor.link("Show all images").click()
    scriptless_visitor.says("42 images, 102 tags")


def test_folders_that_were_open_are_open_when_one_comes_back(project, visitor):
    visitor.go(f"/{project}")
    page = visitor.page
    folder(page, "team1").click()
    visitor.link("svc1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("apps/team1/svc1")
    visitor.go(f"/{project}")
    expect(visitor.link("svc1")).to_be_visible()
    expect(visitor.link("svc2")).to_be_hidden()
    visitor.link("Size").click()
    expect(page).to_have_url(re.compile("sort=size"))
    expect(visitor.link("svc1")).to_be_visible()
    folder(page, "team1").click()
    visitor.go(f"/{project}")
    expect(visitor.link("team1")).to_be_visible()
    expect(visitor.link("svc1")).to_be_hidden()


def test_arrows_walk_the_tree_and_a_slash_leads_to_the_search(project, visitor):
    visitor.go(f"/{project}")
    page = visitor.page
    visitor.tab_to(project)
    for key, name in [
        ("ArrowDown", "apps"),
        ("ArrowDown", "team0"),
        ("ArrowDown", "team1"),
        ("ArrowRight", "team1"),
        ("ArrowRight", "svc1"),
        ("ArrowDown", "svc13"),
        ("ArrowUp", "svc1"),
        ("ArrowLeft", "team1"),
        ("ArrowLeft", "team1"),
        ("ArrowLeft", "apps"),
        ("ArrowLeft", "apps"),
        ("ArrowDown", "many"),
        ("Home", project),
        ("End", "many"),
    ]:
        page.keyboard.press(key)
        assert focused(page) == name, key
    page.keyboard.press("/")
    expect(page.get_by_label("Search images")).to_be_focused()
    page.keyboard.type("1/")
    expect(page.get_by_label("Search images")).to_have_value("1/")
    visitor.says("10 of 42 images match")


# -- the list of tags ------------------------------------------------------------


def test_tags_are_filtered_sorted_and_paged_in_place_and_the_way_back_is_right(project, visitor):
    visitor.go(f"/{project}/-/images/many")
    page = visitor.page
    page.evaluate("window.stayed = true")
    names = page.get_by_role("table", name="Tags of").get_by_role("rowheader")
    expect(names).to_have_count(50)
    visitor.link("Next").click()
    expect(names).to_have_count(11)
    expect(names.last).to_contain_text("2.0")
    visitor.link("Tag").click()
    expect(names.first).to_contain_text("2.0")
    assert focused(page) == "Tag"
    page.get_by_label("Search tags").press_sequentially("1.?")
    expect(names).to_have_count(10)
    expect(names.first).to_contain_text("1.9")
    assert page.evaluate("window.stayed")
    assert "order=desc" in visitor.path
    page.go_back()
    expect(names).to_have_count(50)
    expect(names.first).to_contain_text("2.0")


def test_after_next_the_keyboard_goes_on_with_the_new_page_of_tags(project, visitor):
    visitor.go(f"/{project}/-/images/many")
    visitor.link("Next").focus()
    visitor.page.keyboard.press("Enter")
    names = visitor.page.get_by_role("table", name="Tags of").get_by_role("rowheader")
    expect(names).to_have_count(11)
    expect(visitor.page.locator("#tags-part")).to_be_focused()
    visitor.page.keyboard.press("Tab")
    assert focused(visitor.page) == "Tag"


def test_without_javascript_tags_are_filtered_and_sorted_by_links(project, scriptless_visitor):
    scriptless_visitor.go(f"/{project}/-/images/many")
    names = scriptless_visitor.page.get_by_role("table", name="Tags of").get_by_role("rowheader")
    scriptless_visitor.link("Tag").click()
    expect(names.first).to_contain_text("2.0")
    scriptless_visitor.page.get_by_label("Search tags").fill("1.4?")
    scriptless_visitor.button("Search").click()
    expect(names).to_have_count(10)
    expect(names.first).to_contain_text("1.49")


def test_a_command_that_does_not_fit_shows_its_end_and_copies_whole(browser, stack, project):
    with window(browser, stack.config.public_url, viewport={"width": 1000, "height": 800}) as made:
        made.go(f"/{project}/-/images/many")
        code = made.page.locator("td.pull code").first
        host = stack.config.registry_host
        assert code.inner_text() == f"docker pull {host}/{project}/many:1.0"
        inside = code.evaluate(
            "e => e.firstElementChild.getBoundingClientRect().right"
            " <= e.getBoundingClientRect().right + 1"
        )
        assert inside, "the tag is cut"
        assert made.problems == []
