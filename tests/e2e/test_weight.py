"""What a page costs: one stylesheet and one small script of ours, less than 60 KB in all."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from registry_ui.demo import samples
from registry_ui.demo.images import Step, image
from tests.support.browser import window
from tests.support.stack import ADMIN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

#: Bytes over the wire, with headers, of a first visit with nothing kept.
WHOLE_PAGE = 60_000
OUR_SCRIPT, OUR_STYLE = 4_000, 12_000
#: Layout that moves while a page loads; Lighthouse calls 0.1 good.
SHIFT = 0.02


@pytest.fixture(scope="module")
def project(stack):
    """A project with a tree, an image of several pages of tags, and a rich tag."""
    project = stack.place("public")
    client = stack.client(stack.developer(project))
    client.push(f"{project}/backend", samples.backend_tags())
    client.push(f"{project}/many", {f"1.{n}": image([Step(f"CMD {n}")]) for n in range(60)})
    client.push(f"{project}/a/b/c", {"1.0": image([Step("CMD deep")])})
    stack.wait_for_tags(project, "many", {"1.59"})
    stack.wait_for_tags(project, "a/b/c", {"1.0"})
    return project


def some_pages(project: str) -> list[str]:
    """The pages that weigh most, and those that are opened most."""
    image_page = f"/{project}/-/images"
    return [
        "/",
        f"/{project}",
        f"{image_page}/many",
        f"{image_page}/backend/-/tags/2.4.1",
        "/-/profile",
        "/-/admin/events",
        "/-/admin/decisions",
    ]


@pytest.fixture
def admin(browser, stack):
    """The administrator's window; it may not complain about anything."""
    with window(browser, stack.config.public_url) as made:
        made.page.add_init_script(WATCH_SHIFTS)
        made.be(stack, ADMIN)
        yield made
        assert made.problems == []


@pytest.fixture
def first_visit(admin):
    """Open a page with nothing kept; return what came over the wire, by path: bytes."""
    session = admin.page.context.new_cdp_session(admin.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    asked: dict[str, str] = {}
    weights: dict[str, int] = {}
    session.on(
        "Network.requestWillBeSent", lambda e: asked.update({e["requestId"]: e["request"]["url"]})
    )
    session.on(
        "Network.loadingFinished",
        lambda e: weights.update({asked[e["requestId"]]: e["encodedDataLength"]}),
    )

    def visit(address: str) -> dict[str, int]:
        asked.clear()
        weights.clear()
        assert admin.go(address) == 200
        admin.page.wait_for_load_state("networkidle")
        return {url: weight for url, weight in weights.items() if url.startswith("http")}

    return visit


def test_a_first_visit_to_any_page_weighs_less_than_60_kilobytes(stack, first_visit, project):
    host = urlsplit(stack.config.public_url).netloc
    for address in some_pages(project):
        weights = first_visit(address)
        assert len(weights) >= 4, (address, weights)
        assert sum(weights.values()) < WHOLE_PAGE, (address, weights)
        assert {urlsplit(url).netloc for url in weights} == {host}
        ours = [url for url in weights if "/static/app." in url]
        assert len(ours) == 2, ours
        for url in ours:
            limit = OUR_SCRIPT if ".js" in url else OUR_STYLE
            assert weights[url] < limit, (url, weights[url])


def test_nothing_on_a_page_moves_while_it_loads(admin, first_visit, project):
    for address in some_pages(project):
        first_visit(address)
        assert admin.page.evaluate("window.shift") < SHIFT, address


def test_every_page_names_its_language_its_width_and_its_pictures(admin, project):
    for address in some_pages(project):
        admin.go(address)
        assert admin.page.evaluate(UNNAMED_PICTURES) == [], address
        assert admin.page.locator("html[lang=en]").count() == 1
        wide = admin.page.locator("meta[name=viewport]").get_attribute("content")
        assert wide == "width=device-width, initial-scale=1"  # and one may zoom
        assert admin.page.evaluate(INLINE) == [], address


def test_what_a_page_is_made_of_is_fetched_once(admin, project):
    admin.go("/")
    admin.go("/-/profile")
    sizes = admin.page.evaluate(TRANSFERRED)
    assert {name.partition("?")[0] for name in sizes} >= {"app.css", "app.js", "pico.min.css"}
    assert set(sizes.values()) == {0}


WATCH_SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
TRANSFERRED = """() => Object.fromEntries(performance.getEntriesByType("resource")
  .map((entry) => [entry.name.split("/").pop(), entry.transferSize]))"""
#: An icon beside words says nothing of its own; any other picture has a name.
UNNAMED_PICTURES = """() => [...document.querySelectorAll("img, svg")].filter((e) =>
  !e.closest("[aria-hidden=true]") && !e.getAttribute("alt") && !e.getAttribute("aria-label") &&
  !e.getAttribute("aria-labelledby") && !e.querySelector("title"))
  .map((e) => e.outerHTML.slice(0, 100))"""
INLINE = """() => [...document.querySelectorAll("[style], style, script:not([src]), [onclick]")]
  .map((e) => e.outerHTML.slice(0, 100))"""
