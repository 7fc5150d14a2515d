"""What the system asks for is heeded: on paper, more contrast, few colours, no motion, keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from registry_ui.demo.images import Step, image
from tests.support.accessibility import violations
from tests.support.browser import window
from tests.support.stack import ADMIN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

ONE = image([Step("CMD one")])


@pytest.fixture(scope="module")
def project(stack):
    project = stack.place("public")
    stack.client(stack.developer(project)).push(f"{project}/app", {"1.0": ONE, "latest": ONE})
    stack.wait_for_tags(project, "app", {"1.0", "latest"})
    return project


@pytest.fixture
def admin(browser, stack):
    """The administrator's window, dark; it may not complain about anything."""
    with window(browser, stack.config.public_url, color_scheme="dark") as made:
        made.be(stack, ADMIN)
        yield made
        assert made.problems == []


def some_pages(project: str) -> list[str]:
    """One page of each kind: a tree, tables, facts, forms, the admin area."""
    app = f"/{project}/-/images/app"
    return [f"/{project}", app, f"{app}/-/tags/1.0", f"/{project}/-/members", "/-/admin"]


def test_paper_shows_what_a_page_says_black_on_white_and_nothing_to_press(admin, project):
    page = admin.page
    for address in some_pages(project):
        admin.go(address)
        page.emulate_media(media="print")
        assert page.evaluate(PRESSABLE) == [], address
        assert page.evaluate(COLOURS_ON_PAPER) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"], address
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.emulate_media(media="screen")


def test_tables_stay_tables_on_paper_and_nothing_is_cut_off(admin, project):
    page = admin.page
    page.set_viewport_size({"width": 560, "height": 800})  # A5; on a screen there are cards
    admin.go(f"/{project}/-/images/app")
    expect(page.locator("tbody tr").first).to_have_css("display", "flex")
    page.emulate_media(media="print")
    expect(page.locator("tbody tr").first).to_have_css("display", "table-row")
    expect(page.locator("thead").first).to_have_css("display", "table-header-group")
    expect(page.locator(".pull code").first).to_have_css("white-space", "normal")


def test_addresses_of_links_are_not_printed(admin, project):
    admin.go(f"/{project}")
    admin.page.emulate_media(media="print")
    after = "() => [...document.links].map((a) => getComputedStyle(a, '::after').content)"
    assert set(admin.page.evaluate(after)) == {"none"}


def test_more_contrast_is_seven_to_one_in_both_themes(admin, project):
    page = admin.page
    page.emulate_media(reduced_motion="reduce", contrast="more")
    found = []
    for address in some_pages(project):
        admin.go(address)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            found += [(address, theme, v) for v in violations(page, "color-contrast-enhanced")]
    assert found == []


def test_where_the_system_has_its_own_colours_lines_say_what_colours_said(admin, project):
    page = admin.page
    admin.go(f"/{project}")
    badge, current = page.locator(".badge").first, page.locator(".tabs [aria-current]")
    other = page.locator(".tabs a:not([aria-current])").first
    page.emulate_media(forced_colors="active")
    expect(badge).to_have_css("border-top-style", "solid")
    expect(current).to_have_css("border-bottom-style", "solid")
    expect(other).to_have_css("border-bottom-style", "none")


def test_nothing_moves_for_who_wants_less_motion(admin, project):
    admin.page.emulate_media(reduced_motion="reduce")
    for address in some_pages(project):
        admin.go(address)
        assert admin.page.evaluate(MOVING) == [], address


def test_the_first_tab_leads_past_the_navigation(admin, project):
    page = admin.page
    admin.go(f"/{project}")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    inside = "document.querySelector('main').contains(document.activeElement)"
    assert page.evaluate(inside)


def test_whatever_has_the_focus_shows_it(admin, project):
    page = admin.page
    for address in [*some_pages(project), "/-/profile"]:
        admin.go(address)
        seen = 0
        while stop := press_tab(page):
            assert stop["outline"], f"{address}: {stop['html']}"
            assert stop["inside"], f"{address}: {stop['html']} is outside of the window"
            seen += 1
            assert seen < 200
        assert seen > 10, address


def press_tab(page) -> dict[str, object] | None:
    """Go to the next stop of the keyboard; None at the end of the page."""
    page.keyboard.press("Tab")
    found: dict[str, object] | None = page.evaluate(FOCUS)
    return found


PRESSABLE = """() => [...document.querySelectorAll("button, input, select, nav.tabs, header.top")]
  .filter((e) => e.checkVisibility()).map((e) => e.outerHTML.slice(0, 100))"""
COLOURS_ON_PAPER = """() => [getComputedStyle(document.querySelector("main")).color,
  getComputedStyle(document.body).backgroundColor]"""
MOVING = """() => [...document.querySelectorAll("*")].filter((e) => {
  const { transitionDuration, animationDuration } = getComputedStyle(e);
  return parseFloat(transitionDuration) > 0.001 || parseFloat(animationDuration) > 0.001;
}).map((e) => e.outerHTML.slice(0, 100))"""
FOCUS = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(e);
  const box = e.getBoundingClientRect();
  return {
    html: e.outerHTML.slice(0, 120),
    outline: outlineStyle === "solid" && parseFloat(outlineWidth) >= 2,
    inside: box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight,
  };
}"""
