"""API endpoints for the images and tags that the caller can see.

The data comes from the index (the database's copy of the registry's tags).
"""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify
from sqlalchemy import select

from ..catalog.live_tags import DAMAGES
from ..db.session import db
from ..http.loaders import load, load_image
from ..models import ContainerImage, Tag
from ..projects import listing
from . import blueprint
from .timestamps import iso_or_none


@blueprint.get("/projects/<name:path>/-/images")
def images(path: str) -> Response:
    """List the images of a project, without those outside the path that the token is limited to."""
    project, restriction = load(path).project, g.principal.restriction
    rows = sorted(listing.images(db.session(), project), key=lambda row: row.name)
    rows = [row for row in rows if restriction is None or restriction.covers(row.path)]
    return jsonify(images=[_serialize_image(row) for row in rows])


@blueprint.get("/projects/<name:path>/-/tags", defaults={"name": ""})
@blueprint.get("/projects/<name:path>/-/images/<name:name>/-/tags")
def tags(path: str, name: str) -> Response:
    """List the tags of an image, as recorded in the index."""
    _, image = load_image(path, name)
    rows = db.session.scalars(select(Tag).where(Tag.image_id == image.id).order_by(Tag.name))
    return jsonify(image=image.path, tags=[_serialize_tag(image, row) for row in rows])


def _serialize_image(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "repository": row.path,
        "tag_count": row.tag_count,
        "pull_count": row.pull_count,
        "last_push_at": iso_or_none(row.last_push_at),
        "last_pushed_by": row.last_push_by,
    }


def _serialize_tag(image: ContainerImage, row: Tag) -> dict[str, Any]:
    return {
        "name": row.name,
        "reference": f"{image.path}:{row.name}",
        "digest": row.digest,
        "pushed_at": iso_or_none(row.pushed_at),
        "pushed_by": row.pushed_by,
        "pull_count": row.pull_count,
        "last_pulled_at": iso_or_none(row.last_pulled_at),
        "unreadable": _serialize_damage(row),
    }


def _serialize_damage(row: Tag) -> dict[str, Any] | None:
    """Return why and since when the registry can't read a tag; None if the tag is readable."""
    if row.damage is None:
        return None
    return {"reason": DAMAGES[row.damage], "since": iso_or_none(row.damaged_since)}
