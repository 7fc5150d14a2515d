"""A real Chromium, and what it complains about."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from tests.web.support import PASSWORD

from .processes import UNPACKED, missing, required
from .stack import Stack

#: Nothing of the browser's own may go over the network.
OPTIONS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
    # Otherwise Chromium starts renderers ahead of time: four for a window that needs two. Windows
    # never share one, and nothing of the web's security depends on it.
    "--renderer-process-limit=1",
    # Nothing draws with the GPU, so no software needs to imitate one.
    "--disable-gpu",
    "--disable-software-rasterizer",
]
#: Seconds times a thousand: a busy machine is not what these tests are about.
PATIENCE = 60_000
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium, headless.

    Without the parts of a desktop's browser, it takes a third of the time.
    """
    program = required("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    expect.set_options(timeout=PATIENCE)
    with _playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _playwright() -> Iterator[Playwright]:
    """Playwright, whose driver is a Node.js that needs a library, installed or unpacked."""
    library = "libatomic.so.1"
    with pytest.MonkeyPatch.context() as environ:
        try:
            ctypes.CDLL(library)
        except OSError:
            file = next(UNPACKED.parent.glob(f"libatomic1/usr/lib/*/{library}"), None)
            if file is None:
                missing(library)
            environ.setenv("LD_LIBRARY_PATH", str(file.parent))
        playwright = sync_playwright().start()
    try:
        yield playwright
    finally:
        playwright.stop()


#: What htmx writes if the next search, or the next page, ends a request. If a request fails, it
#: writes another line as well.
CUT_SHORT = ("htmx:sendAbort", "htmx:afterRequest")


@dataclass
class Window:
    """One person's browser window on one site. ``problems`` must be empty at the end."""

    base_url: str
    page: Page
    problems: list[str] = field(default_factory=list)

    def go(self, path: str) -> int:
        """Open a page of the site; return its status."""
        answer = self.page.goto(self.base_url + path)
        assert answer is not None
        return answer.status

    @property
    def path(self) -> str:
        """Where the window is."""
        return self.page.url.removeprefix(self.base_url)

    def sign_in(self, username: str, password: str = PASSWORD) -> None:
        """Sign in as a person does."""
        self.go("/-/sign-in")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def be(self, stack: Stack, username: str) -> None:
        """Have signed in, without the pages and the password hash that signing in takes."""
        name, value = stack.session_cookie(username)
        self.page.context.add_cookies([{"name": name, "value": value, "url": self.base_url}])

    def button(self, name: str, **more: Any) -> Any:
        """A button by its whole accessible name."""
        return self.page.get_by_role("button", name=name, **{"exact": True, **more})

    def link(self, name: str, **more: Any) -> Any:
        """A link by its whole accessible name."""
        return self.page.get_by_role("link", name=name, **{"exact": True, **more})

    def heading(self, name: str) -> Any:
        """A heading by its text."""
        return self.page.get_by_role("heading", name=name)

    def says(self, text: str) -> None:
        """The page, as it is seen, holds this text."""
        expect(self.page.get_by_role("main")).to_contain_text(text)

    def until_it_says(self, text: str) -> None:
        """Wait for a page that changes by itself, or, without script, by its Refresh."""
        end = time.monotonic() + 60
        while text not in self.page.get_by_role("main").inner_text():
            assert time.monotonic() < end, self.page.get_by_role("main").inner_text()
            if self.link("Refresh").count():
                self.link("Refresh").click()

    def tab_to(self, name: str, limit: int = 80) -> None:
        """Press Tab until what has the focus is called so."""
        for _ in range(limit):
            self.page.keyboard.press("Tab")
            words = self.page.evaluate(
                "() => { const e = document.activeElement;"
                " return (e.labels && e.labels[0] ? e.labels[0].innerText : e.textContent).trim() }"
            )
            if " ".join(words.split()) == name:
                return
        raise AssertionError(f"the keyboard does not reach “{name}”")

    def note(self, message: ConsoleMessage) -> None:
        """Keep errors and warnings of the console; a request that was cut short is none."""
        if message.type in {"error", "warning"} and not message.text.startswith(CUT_SHORT):
            self.problems.append(f"{self.page.url}: {message.type}: {message.text}")

    def note_failure(self, request: Request) -> None:
        """Keep what could not be fetched; what the next page cut short is no failure."""
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")


@contextmanager
def window(browser: Browser, base_url: str, **options: Any) -> Iterator[Window]:
    """A window with cookies of its own."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    if options.get("java_script_enabled", True):
        context.add_init_script(WATCH_POLICY)
    page = context.new_page()
    made = Window(base_url, page)
    page.on("console", made.note)
    page.on("pageerror", lambda error: made.problems.append(f"{page.url}: {error}"))
    page.on("requestfailed", made.note_failure)
    try:
        yield made
    finally:
        context.close()
