"""Takes the pictures of the documents: ``make screenshots``, after ``make run`` and ``make demo``.

Needs the test requirements (Playwright) and a Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from config import ROOT, Config

FOLDER = ROOT / "docs" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
#: File, address, and the image of a tree to open before the picture is taken.
PICTURES = (
    ("project", "/orchard/shop", "worker"),
    ("image", "/orchard/shop/-/images/backend", ""),
    ("tag", "/orchard/shop/-/images/backend/-/tags/2.4.1", ""),
    ("platforms", "/orchard/platform/runtime/-/images/base/-/tags/2026.11", ""),
    ("delete", "/orchard/shop/-/images/worker/-/tags/latest/-/delete", ""),
    ("registry-token", "/-/admin/registry-token", ""),
)


def main() -> int:
    """Sign in as the administrator and take every picture. Returns the exit status."""
    argparse.ArgumentParser(prog="make screenshots", description=__doc__).parse_args()
    config = Config.from_environ()
    password = os.environ.get("REGISTRY_UI_ADMIN_PASSWORD", "")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not password or not chromium:
        print("Set REGISTRY_UI_ADMIN_PASSWORD, and install chromium.", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1180, "height": 760})
        page.goto(f"{config.public_url}/-/sign-in")
        page.get_by_label("User name").fill(config.admin_username)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        for name, address, opened in PICTURES:
            take(page, config.public_url + address, opened, FOLDER / f"{name}.png")
        browser.close()
    return 0


def take(page: Page, address: str, opened: str, file: Path) -> None:
    """Go to an address, open an image of the tree, and keep what the window shows."""
    page.goto(address)
    if opened:
        page.locator("summary", has_text=opened).first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file)
    print(file.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
