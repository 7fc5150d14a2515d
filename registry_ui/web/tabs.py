"""Tabs above the pages of a namespace or project, and of the admin area."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask import url_for

from ..http.query_args import current_address


@dataclass(frozen=True, slots=True)
class Tab:
    """A link to one page of a group; ``is_current`` marks the page that is shown."""

    label: str
    url: str
    is_current: bool


#: Name of each tab of a place, its label, its endpoint, and the permission that it requires.
_PLACE_TABS = (
    ("show", "Overview", "projects.show", ""),
    ("activity", "Activity", "activity.of_place", ""),
    ("storage", "Storage", "storage.show", ""),
    ("members", "Members", "projects.members", "list_members"),
    ("trash", "Trash", "trash.show", "delete"),
    ("retention", "Retention", "retention.show", "delete"),
    ("deploy_tokens", "Deploy tokens", "deploy_tokens.show", "configure"),
    ("protection", "Protection", "protection.show", "configure"),
    ("decisions", "Access log", "decisions.of_place", "configure"),
    ("settings", "Settings", "projects.settings", "configure"),
)
_PROJECT_TABS = {"trash", "protection"}
_ADMIN_TABS = (
    ("overview", "Overview", "admin.overview"),
    ("registry_token", "Registry token", "admin.registry_token"),
    ("users", "Users", "admin.users"),
    ("collections", "Garbage collection", "collections.overview"),
    ("unassigned", "Unassigned", "admin.unassigned"),
    ("events", "Events", "admin.events"),
    ("decisions", "Access log", "admin.decisions"),
    ("audit", "Audit", "admin.audit"),
)


def place_tabs(path: str, kind: str, can: Collection[str] | None, current: str) -> list[Tab]:
    """Return the tabs of a namespace or project that the visitor can open.

    Args:
        path: path of the place.
        kind: ``namespace`` or ``project``.
        can: permissions of the visitor.
        current: name of the tab that is shown.
    """
    permissions = {"", *(can or ())}
    is_project = kind == "project"
    return [
        Tab(
            "Images" if is_project and name == "show" else label,
            url_for(endpoint, path=path),
            name == current,
        )
        for name, label, endpoint, permission in _PLACE_TABS
        if permission in permissions and (is_project or name not in _PROJECT_TABS)
    ]


def admin_tabs(current: str) -> list[Tab]:
    """Return the tabs of the admin area, given the name of the one that is shown."""
    return [Tab(label, url_for(endpoint), name == current) for name, label, endpoint in _ADMIN_TABS]


def home_tabs(current: str) -> list[Tab]:
    """Return the tabs of the home page: the user's projects, and all that are visible."""
    tabs = (("yours", "Yours"), ("all", "All that you may see"))
    return [
        Tab(label, current_address(show=name, page=None), name == current) for name, label in tabs
    ]


HELPERS = (place_tabs, admin_tabs, home_tabs)
