"""Tabs (links between related pages) of namespaces, projects, the admin area, and the home page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask import url_for

from ..access import Permission
from ..http.query_args import current_address


@dataclass(frozen=True, slots=True)
class Tab:
    """A link in a row of tabs; ``is_current`` is True for the page that is shown."""

    label: str
    url: str
    is_current: bool


#: Tabs of a namespace or project: name, label, endpoint, and required permission (None for none).
_PLACE_TABS: tuple[tuple[str, str, str, Permission | None], ...] = (
    ("show", "Overview", "projects.show", None),
    ("activity", "Activity", "activity.of_place", None),
    ("storage", "Storage", "storage.show", None),
    ("members", "Members", "projects.members", Permission.LIST_MEMBERS),
    ("trash", "Trash", "trash.show", Permission.DELETE),
    ("retention", "Retention", "retention.show", Permission.DELETE),
    ("deploy_tokens", "Deploy tokens", "deploy_tokens.show", Permission.CONFIGURE),
    ("protection", "Protection", "protection.show", Permission.CONFIGURE),
    ("decisions", "Access log", "decisions.of_place", Permission.CONFIGURE),
    ("settings", "Settings", "projects.settings", Permission.CONFIGURE),
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


def place_tabs(path: str, kind: str, can: Collection[Permission] | None, current: str) -> list[Tab]:
    """Return the tabs of a namespace or project that the visitor can open.

    Args:
        path: path of the namespace or project.
        kind: ``namespace`` or ``project``.
        can: the visitor's permissions there; None for none.
        current: name of the tab that is shown.
    """
    permissions = {None, *(can or ())}
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
    """Return the tabs of the admin area, given the name of the current tab."""
    return [Tab(label, url_for(endpoint), name == current) for name, label, endpoint in _ADMIN_TABS]


def home_tabs(current: str) -> list[Tab]:
    """Return the tabs of the home page: the user's own projects, and all visible projects."""
    tabs = (("yours", "Yours"), ("all", "All that you may see"))
    return [
        Tab(label, current_address(show=name, page=None), name == current) for name, label in tabs
    ]


HELPERS = (place_tabs, admin_tabs, home_tabs)
