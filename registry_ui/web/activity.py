"""Pages that list the latest pushes, pulls, removals, and changes in a place or by a user.

A place is a namespace or a project.
"""

from __future__ import annotations

from flask import Blueprint, render_template, request

from ..access import Permission
from ..activity import feed
from ..activity.entries import KINDS, ActivityFilters, Cursor
from ..db.session import db
from ..errors import NotFound
from ..http.identity import principal, registry_host
from ..http.loaders import load
from ..http.query_args import crumbs, query_text
from ..models import utc_now

blueprint = Blueprint("activity", __name__)


@blueprint.get("/<name:path>/-/activity")
def of_place(path: str) -> str:
    """Show the activity in a namespace or project, limited to projects that the visitor can see."""
    loaded = load(path)
    changes = Permission.CONFIGURE in loaded.can
    activity = feed.of_place(db.session(), principal(), loaded.place, changes=changes)
    filters = _read_filters(path)
    return render_template(
        "activity.html",
        node=loaded.place,
        crumbs=crumbs(path),
        can=loaded.can,
        kinds=[kind for kind in KINDS if changes or kind != "change"],
        listing=activity.page(db.session(), filters),
        days=activity.days(db.session(), utc_now().date()),
        filters=filters,
    )


@blueprint.get("/-/users/<name:username>/activity")
def of_person(username: str) -> str:
    """Show the activity of a user in the projects that the visitor can see.

    Raises:
        NotFound: the visitor is not allowed to learn whether the user exists.
    """
    if not feed.can_know(db.session(), principal(), username):
        raise NotFound
    activity = feed.of_person(db.session(), principal(), username)
    filters = _read_filters()
    return render_template(
        "activity.html",
        person=username,
        kinds=[kind for kind in KINDS if kind != "pull"],
        listing=activity.page(db.session(), filters),
        days=activity.days(db.session(), utc_now().date()),
        filters=filters,
    )


def _read_filters(path: str = "") -> ActivityFilters:
    """Return the filters of an activity page from the query string; invalid values are ignored.

    Args:
        path: path of the namespace or project; the image to filter by can be relative to this path.
            Empty on the page of a user.
    """
    kind = request.args.get("kind", "")
    image = query_text("image").removeprefix(f"{registry_host()}/").partition(":")[0].strip("/")
    if image and path and image != path and not image.startswith(f"{path}/"):
        image = f"{path}/{image}"
    return ActivityFilters(
        kind=kind if kind in KINDS else "",
        image=image,
        by=query_text("by"),
        before=Cursor.parse(request.args.get("before", "")),
    )
