"""What axe-core finds on a page, and targets too small for a finger."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

#: WCAG 2.2 at level AA, and what axe calls best practice.
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
#: The rules whose outcome depends on the theme; the others see the same in both.
COLOURS = ("color-contrast", "link-in-text-block")

#: Nothing that takes time and that nobody reads: no paths of elements, no style sheets twice.
QUICK = {"resultTypes": ["violations"], "selectors": False, "preload": False}


def violations(page: Page, *rules: str, colors: bool = True) -> list[str]:
    """Return what breaks these rules of axe, or any of TAGS: rule, element, reason.

    Args:
        page: the page.
        rules: the rules to apply; by default, those of TAGS.
        colors: whether to apply COLOURS, too, which takes most of the time.
    """
    chosen = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    left_out = {} if colors else {rule: {"enabled": False} for rule in COLOURS}
    return _run_axe(page, {"runOnly": chosen, "rules": left_out}, kinds=None)


def color_violations(page: Page, kinds: Collection[str]) -> list[str]:
    """Return what breaks COLOURS in elements of these kinds, which markup() has just returned."""
    return _run_axe(page, {"runOnly": {"type": "rule", "values": COLOURS}}, sorted(kinds))


def _run_axe(page: Page, options: dict[str, Any], kinds: list[str] | None) -> list[str]:
    # Evaluated, not added as a script: the policy of the pages refuses those of others.
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(RUN, {"options": {**options, **QUICK}, "kinds": kinds})
    return found


def markup(page: Page) -> set[str]:
    """Return what axe judges a page by: its kinds of element, and its outline.

    A kind is an element's place among its ancestors, its attributes, and whether it has words, has
    a label, is visible, or is cut off; the same kind has the same colors. The outline is what
    heading or landmark follows on which, and whether two landmarks have one name.
    """
    return set(page.evaluate(MARKUP))


def small_targets(page: Page) -> list[str]:
    """Return controls of less than 24 by 24 px. A link within a text may be as high as its line."""
    found: list[str] = page.evaluate(SMALL)
    return found


RUN = """async ({ options, kinds }) => {
  const chosen = new Set(kinds);
  const include = kinds === null ? [document] : [...window.kindsOfElements]
    .filter(([e, kind]) => e.isConnected && chosen.has(kind)).map(([e]) => e);
  if (!include.length) return [];
  const { violations } = await axe.run({ include }, options);
  return violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.html.slice(0, 160)} ${node.any.map((check) => check.message).join(", ")}`));
}"""
#: A checkbox is as large as its label. What is hidden, or shown on focus only, has no size.
SMALL = """() => [...document.querySelectorAll("a, button, input, select, summary")]
  .map((e) => [e, (e.matches("[type=checkbox], [type=radio]") && e.labels[0] || e)])
  .filter(([e]) => e.checkVisibility() && getComputedStyle(e).display !== "inline")
  .map(([e, target]) => [e, target.getBoundingClientRect()])
  .filter(([e, box]) => box.right > 0 && (box.width < 24 || box.height < 24))
  .map(([e, box]) => `too small, ${box.width} x ${box.height}: ${e.outerHTML.slice(0, 160)}`)"""
#: Values that differ from page to page, as those of addresses and ids do, are left out.
MARKUP = """() => {
  const valued = new Set(["class", "role", "type", "aria-current", "aria-hidden", "tabindex"]);
  const places = new Map(), kinds = new Set(), names = new Set();
  let last = "";
  window.kindsOfElements = new Map();
  for (const e of document.body.querySelectorAll("*")) {
    const attributes = [...e.attributes].map(({ name, value }) =>
      valued.has(name) ? `${name}=${value}` : name).sort().join(" ");
    const place = `${places.get(e.parentElement) ?? ""} > ${e.localName} ${attributes}`;
    places.set(e, place);
    const words = e.textContent.trim() !== "", cut = e.scrollWidth > e.clientWidth;
    const kind = `${place} (${words}, ${e.labels?.length}, ${e.checkVisibility()}, ${cut})`;
    kinds.add(kind);
    window.kindsOfElements.set(e, kind);
    if (!e.matches("h1, h2, h3, h4, h5, h6, main, nav, header, footer, aside, section, [role]"))
      continue;
    kinds.add(`${last}, then ${e.localName}`);
    last = e.localName;
    const label = e.getAttribute("aria-label") ?? e.getAttribute("aria-labelledby");
    const name = `${last} ${label}`;
    if (label && names.has(name)) kinds.add(`twice: ${name}`);
    names.add(name);
  }
  return [...kinds];
}"""
