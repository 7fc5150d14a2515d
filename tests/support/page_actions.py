"""What a person does on several pages in turn, and what the pages announce."""

from __future__ import annotations

import re

import requests
from playwright.sync_api import expect

from tests.support.browser import Window


def announced(page, words: str) -> None:
    """What a screen reader is told without that the page changes."""
    expect(page.locator("[aria-live]", has_text=re.compile(f"^{words}$"))).to_have_count(1)


def tree_node(page, name: str):
    """What opens an image in the tree to its tags."""
    return page.locator("summary", has_text=re.compile(rf"Tags of {re.escape(name)}\s*$"))


def make_namespace_and_project(person: Window, name: str) -> str:
    """Make a namespace, a public project in it, by the buttons of the pages; return its path."""
    page = person.page
    person.go("/")
    person.link("New namespace").click()
    page.get_by_label("Name", exact=True).fill(name)
    person.button("Create namespace").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    person.link("New project").first.click()
    expect(page.get_by_label("In namespace")).to_have_value(name)
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Public").check()
    person.button("Create project").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("shop")
    return f"{name}/shop"


def add_member(person: Window, username: str, role: str) -> None:
    person.link("Members").click()
    page = person.page
    page.get_by_label("User name").fill(username)
    page.get_by_label("Role", exact=True).select_option(label=role)
    person.button("Add member").click()
    row = page.get_by_role("row", name=username)
    expect(row).to_contain_text(role)


def deliver(stack, token: str) -> int:
    """Post events as the registry would with this token."""
    headers = {"Authorization": f"Bearer {token}"}
    url = stack.config.events_url
    return requests.post(url, json={"events": []}, headers=headers, timeout=60).status_code
