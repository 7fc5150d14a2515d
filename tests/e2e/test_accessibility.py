"""What is wrong with a page is found: without this, no complaint would mean nothing."""

from __future__ import annotations

import pytest

from tests.support.accessibility import color_violations, markup, small_targets, violations

pytestmark = pytest.mark.e2e
BAD = """
<h3>Too deep</h3>
<button></button>
<p style="color: #777; background: #888">Pale</p>
<a href="/" style="display: inline-block; width: 20px; height: 30px">x</a>
"""


@pytest.fixture
def page(browser):
    with browser.new_context() as context:
        yield context.new_page()


def rules(found: list[str]) -> set[str]:
    """The names of the rules that were broken."""
    return {violation.partition(":")[0] for violation in found}


def test_axe_finds_what_is_wrong_with_a_page(page):
    page.set_content(BAD)
    bad = {"document-title", "html-has-lang", "page-has-heading-one", "button-name"}
    assert bad | {"landmark-one-main", "color-contrast"} <= rules(violations(page))
    assert rules(violations(page, colors=False)) & {"color-contrast", "button-name"} == {
        "button-name"
    }


def test_colors_are_looked_at_in_the_markup_that_is_new(page):
    page.set_content(BAD)
    seen = markup(page)
    assert rules(color_violations(page, seen)) == {"color-contrast"}
    assert color_violations(page, ()) == []
    page.set_content(BAD.replace("<button>", '<button class="new">'))
    assert color_violations(page, markup(page) - seen) == []
    page.set_content(BAD.replace('<p style="', '<p class="new" style="'))
    assert rules(color_violations(page, markup(page) - seen)) == {"color-contrast"}


def test_targets_of_less_than_24_pixels_are_found(page):
    page.set_content(BAD)
    assert [found.partition(":")[0] for found in small_targets(page)][1:] == ["too small, 20 x 30"]


GOOD = """<main><h1>One</h1><h2>Two</h2><nav aria-label="a"><a href="/">x</a></nav>
<label>A <input></label></main>"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<a href="/">x', '<a href="/"> '),
        ("<h2>Two</h2>", "<h3>Two</h3>"),
        ("<label>A <input></label>", "<label>A</label> <input>"),
        ("<a href", '<a class="pale" href'),
        ("</nav>", '</nav><nav aria-label="a"><a href="/">x</a></nav>'),
    ],
    ids=["words", "outline", "label", "class", "two of one name"],
)
def test_markup_that_axe_may_judge_otherwise_is_other_markup(page, old, new):
    page.set_content(GOOD)
    seen = markup(page)
    page.set_content(GOOD.replace("Two", "Other words").replace('href="/"', 'href="/other"'))
    assert markup(page) == seen
    page.set_content(GOOD.replace(old, new))
    assert markup(page) - seen
