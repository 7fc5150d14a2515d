"""Take the screenshots of the docs: ``make screenshots``, after ``make run`` and ``make demo``.

Each page is captured in the light and in the dark theme. To add a page, add a line to PICTURES.

Needs the test requirements (Playwright) and a Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Page, sync_playwright

from config import ROOT, Config

FOLDER = ROOT / "docs" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A page to take a screenshot of.

    ``address`` is the URL path of the page. ``opened`` is the name of an image in the page's tree
    to expand first. ``pressed`` is the label of a button to click first; the button must change
    nothing except for creating a plan.
    """

    address: str
    opened: str = ""
    pressed: str = ""


#: Pages to capture. The key is the name of the screenshot file in the light theme, without the
#: extension; the name in the dark theme has the suffix ``-dark``.
PICTURES = {
    "project": Picture("/orchard/shop", opened="worker"),
    "image": Picture("/orchard/platform/runtime/-/images/agent?q=1.2"),
    "tag": Picture("/orchard/shop/-/images/backend/-/tags/2.4.1"),
    "platforms": Picture("/orchard/platform/runtime/-/images/base/-/tags/2026.11"),
    "compare": Picture("/-/compare?from=orchard/shop/backend:2.4.1&to=orchard/shop/frontend:5.0.0"),
    "activity": Picture("/orchard/-/activity"),
    "storage": Picture("/orchard/-/storage"),
    "delete": Picture("/orchard/shop/-/images/worker/-/tags/latest/-/delete"),
    "copy": Picture(
        "/orchard/shop/-/images/frontend/-/copy?all=1&project=orchard/platform/runtime",
        pressed="Show the plan",
    ),
    "move": Picture("/orchard/shop/-/move?target=orchard/store", pressed="Show the plan"),
    "access-log": Picture("/orchard/-/decisions"),
    "registry-token": Picture("/-/admin/registry-token"),
}
THEMES: dict[Literal["light", "dark"], str] = {"light": "", "dark": "-dark"}


def main() -> int:
    """Sign in as the administrator, take every screenshot, and return the exit status."""
    argparse.ArgumentParser(prog="make screenshots", description=__doc__).parse_args()
    config = Config.from_environ()
    password = os.environ.get("REGISTRY_UI_ADMIN_PASSWORD", "")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not password or not chromium:
        print("Set REGISTRY_UI_ADMIN_PASSWORD, and install chromium.", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1180, "height": 760}, reduced_motion="reduce")
        page.goto(f"{config.public_url}/-/sign-in")
        page.get_by_label("User name").fill(config.admin_username)
        page.get_by_label("Password").fill(password)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()
        for name, picture in PICTURES.items():
            show(page, config.public_url, picture)
            for theme, suffix in THEMES.items():
                page.emulate_media(color_scheme=theme)
                file = FOLDER / f"{name}{suffix}.png"
                page.screenshot(path=file)
                print(file.relative_to(ROOT))
        browser.close()
    return 0


def show(page: Page, site: str, picture: Picture) -> None:
    """Open the page for a screenshot, and expand or click what the screenshot needs.

    Raises:
        RuntimeError: the page does not exist.
    """
    response = page.goto(site + picture.address)
    if response is None or not response.ok:
        raise RuntimeError(f"{picture.address} is not there: has `make demo` been run?")
    if picture.opened:
        page.locator("summary", has_text=picture.opened).first.click()
    if picture.pressed:
        page.get_by_role("main").get_by_role("button", name=picture.pressed).click()
    page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    sys.exit(main())
