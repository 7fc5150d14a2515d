"""Finding and comparing in a browser, by keyboard, on a telephone, and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from registry_ui.demo.images import Step, image, layer
from tests.support.browser import window
from tests.support.stack import ADMIN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

BASE = layer({"base": "x" * 5000}, "ADD base")
ONE = image([BASE, layer({"one": "1"}, "COPY one"), Step("CMD one")])
TWO = image([BASE, layer({"two": "22"}, "COPY two"), Step("CMD two")])
NAME = "Search everywhere"


@pytest.fixture
def project(stack):
    """A project with two tags of one image."""
    path = stack.place()
    stack.client(stack.developer(path)).push(f"{path}/web/api", {"1.0": ONE, "2.0": TWO})
    stack.wait_for_tags(path, "web/api", {"1.0", "2.0"})
    return path


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def visitor(browser, stack, request):
    """A window with JavaScript, and one without; it may not complain about anything."""
    options = {"java_script_enabled": request.param}
    with window(browser, stack.config.public_url, **options) as made:
        made.be(stack, ADMIN)
        yield made
        assert made.problems == []


@pytest.fixture
def quick(browser, stack):
    """A window in which the script runs."""
    with window(browser, stack.config.public_url) as made:
        made.be(stack, ADMIN)
        yield made
        assert made.problems == []


def test_a_pull_command_pasted_into_the_header_opens_the_tag(stack, visitor, project):
    visitor.go("/-/help/roles")
    host = stack.config.registry_host
    visitor.page.get_by_label(NAME).first.fill(f"docker pull {host}/{project}/web/api:2.0")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(f"**/{project}/-/images/web/api/-/tags/2.0")


def test_a_word_shows_what_there_is_and_the_word_stays(visitor, project):
    visitor.go("/")
    visitor.page.get_by_label(NAME).first.fill(f"{project.partition('/')[0]}/te")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/-/search?q=*")
    visitor.says(f"{project}/web/api")
    field = visitor.page.get_by_label("Search everything")
    assert field.input_value() == f"{project.partition('/')[0]}/te"


def test_a_stroke_goes_to_the_field_unless_something_is_typed(quick):
    quick.go("/-/help/roles")
    quick.page.keyboard.press("/")
    field = quick.page.get_by_label(NAME).first
    expect(field).to_be_focused()
    field.fill("a")
    quick.page.keyboard.press("/")
    assert field.input_value() == "a/"


def test_where_a_page_has_a_search_of_its_own_the_stroke_goes_there(quick):
    quick.go("/")
    quick.page.keyboard.press("/")
    field = quick.page.get_by_label("Search projects")
    expect(field).to_be_focused()
    quick.page.keyboard.press("/")
    assert field.input_value() == "/"


def test_on_a_telephone_the_header_leads_to_the_search(browser, stack, project):
    size = {"width": 360, "height": 700}
    with window(browser, stack.config.public_url, viewport=size) as made:
        made.be(stack, ADMIN)
        made.go("/")
        made.link(NAME).click()
        field = made.page.get_by_label("Search everything")
        expect(field).to_be_focused()
        field.fill(f"{project}/web/api:2")
        made.page.keyboard.press("Enter")
        made.says(f"{project}/web/api:2.0")
        made.page.keyboard.press("Escape")
        made.page.get_by_role("heading", level=1).click()
        made.page.keyboard.press("/")
        expect(made.page.get_by_label("Search everything")).to_be_focused()
        assert made.problems == []


def test_from_the_page_of_a_tag_to_the_comparison_and_back_to_front(visitor, project):
    visitor.go(f"/{project}/-/images/web/api/-/tags/1.0")
    visitor.page.get_by_label("Tag or reference to compare with").fill("2.0")
    visitor.button("Compare").click()
    visitor.says("1 new layer, 1 shared, 1 gone")
    visitor.says("added: COPY two")
    visitor.link("Swap sides").click()
    visitor.says("added: COPY one")


def test_from_a_row_the_other_tag_is_chosen_from_those_of_the_image(visitor, project):
    visitor.go(f"/{project}/-/images/web/api")
    visitor.link("Compare 1.0").click()
    visitor.link("Compare with 2.0").click()
    visitor.says("1 new layer, 1 shared, 1 gone")
    visitor.page.get_by_text("Compare others").click()
    visitor.page.get_by_label("To", exact=True).fill("1.0")
    visitor.page.get_by_role("main").get_by_role("button", name="Compare").click()
    visitor.says("Identical: both are the same digest")
