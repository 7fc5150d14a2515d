"""API endpoints for the projects that the caller can see."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify, request
from sqlalchemy import true

from ..db.session import db
from ..http.loaders import load
from ..http.query_args import page_number
from ..pagination import NoSuchPage
from ..projects import listing
from . import blueprint
from .timestamps import iso_or_none


@blueprint.get("/projects")
def projects() -> Response:
    """List the projects that the caller can see and that match ``q``, one page at a time."""
    q = request.args.get("q", "").strip()[:255]
    number = page_number()
    try:
        rows, page = listing.projects(db.session(), g.principal, true(), q, number)
    except NoSuchPage as error:
        # Return an empty page, because programs can read page by page until one is empty.
        return jsonify(projects=[], page=number, pages=error.pages, total=error.total)
    return jsonify(
        projects=[_serialize_project(row) for row in rows],
        page=page.number,
        pages=page.pages,
        total=page.total,
    )


@blueprint.get("/projects/<name:path>")
def project(path: str) -> Response:
    """Return the path, description, visibility, and creation time of one project."""
    row = load(path).project
    return jsonify(
        path=row.path,
        description=row.description,
        visibility=row.visibility,
        created_at=row.created_at.isoformat(),
    )


def _serialize_project(row: listing.ProjectRow) -> dict[str, Any]:
    return {
        "path": row.path,
        "description": row.description,
        "visibility": row.visibility,
        "role": row.role,
        "image_count": row.image_count,
        "tag_count": row.tag_count,
        "last_push_at": iso_or_none(row.last_push_at),
    }
