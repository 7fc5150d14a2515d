"""Which tabs the pages of a namespace or project have."""

from __future__ import annotations

import pytest
from flask import Flask

from registry_ui.web.tabs import place_tabs

ENDPOINTS = [
    "projects.show",
    "activity.of_place",
    "storage.show",
    "projects.members",
    "trash.show",
    "retention.show",
    "deploy_tokens.show",
    "protection.show",
    "decisions.of_place",
    "projects.settings",
]


@pytest.fixture(scope="module")
def pages() -> Flask:
    """An application with the pages of a place, and nothing else."""
    app = Flask("pages")
    for endpoint in ENDPOINTS:
        app.add_url_rule(f"/<path:path>/-/{endpoint}", endpoint)
    return app


def labels(pages: Flask, kind: str, *can: str) -> str:
    with pages.test_request_context():
        return ", ".join(tab.label for tab in place_tabs("g/p", kind, can, "show"))


def test_a_visitor_has_the_tabs_that_are_open_to_all(pages: Flask) -> None:
    assert labels(pages, "project") == "Images, Activity, Storage"
    assert labels(pages, "namespace") == "Overview, Activity, Storage"


def test_permissions_add_tabs(pages: Flask) -> None:
    assert labels(pages, "project", "list_members") == "Images, Activity, Storage, Members"
    assert labels(pages, "project", "delete") == "Images, Activity, Storage, Trash, Retention"
    configure = "Deploy tokens, Protection, Access log, Settings"
    assert labels(pages, "project", "configure") == f"Images, Activity, Storage, {configure}"


def test_a_namespace_has_neither_trash_nor_protection(pages: Flask) -> None:
    found = labels(pages, "namespace", "delete", "configure")
    expected = "Overview, Activity, Storage, Retention, Deploy tokens, Access log, Settings"
    assert found == expected


def test_one_tab_is_current(pages: Flask) -> None:
    with pages.test_request_context():
        tabs = place_tabs("g/p", "project", None, "storage")
    assert [(tab.url, tab.is_current) for tab in tabs][-1] == ("/g/p/-/storage.show", True)
    assert sum(tab.is_current for tab in tabs) == 1
