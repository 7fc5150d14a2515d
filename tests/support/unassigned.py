"""Repositories that were in the registry before any project, as an older registry has them."""

from __future__ import annotations

from typing import Any

from registry_ui.access import Role
from registry_ui.models import Membership, Place, UnassignedRepository, User
from tests.support.html import Page
from tests.web.support import Site

ADOPT = "/-/admin/unassigned/adopt"
#: Names as plain registries have them.
OLD = ("nginx", "team/app", "team/app/web", "team/db", "quay.io/org/app", "library/redis")


def with_people(site: Site) -> Site:
    """Give a site an administrator, a user, and one project."""
    site.user("admin", admin=True)
    site.user("alice")
    site.project("acme/app")
    return site


def leave(site: Site, *paths: str) -> None:
    """Note repositories as unassigned, as the worker does after it has read the registry."""
    with site.session() as session:
        session.add_all(UnassignedRepository(path=path) for path in paths)
        session.commit()


def paths(site: Site, model: type[Place] = Place) -> set[str]:
    """Return the paths of all namespaces and projects, or of one of both."""
    return {place.path for place in site.rows(model)}


def preview(site: Site, **query: Any) -> tuple[Page, dict[str, str]]:
    """Return the page of a preview, and what its form would send."""
    page = Page(site.browser("admin").get(ADOPT, query_string=query).text)
    names = ("below", "parts", "visibility", "owner", "digest")
    hidden = {
        str(i.attrs["name"]): str(i.attrs["value"])
        for i in page.all("input")
        if i.attrs.get("type") == "hidden" and i.attrs["name"] in names
    }
    return page, hidden


def owners(site: Site) -> dict[str, str]:
    """Return the Owners of places, as {path: user}."""
    users = {user.id: user.username for user in site.rows(User)}
    places = {place.id: place.path for place in site.rows(Place)}
    return {
        places[row.place_id]: users[row.user_id] for row in site.rows(Membership, role=Role.OWNER)
    }
