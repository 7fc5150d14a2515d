"""What programs may read, as JSON, with an access token or as anyone."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from sqlalchemy import select, true

from ..access import ANONYMOUS, Principal, Right
from ..accounts.authentication import authenticate, authenticate_token
from ..errors import Denied, Unauthorized
from ..extensions import csrf, db
from ..models import ContainerImage, Tag
from ..pages import page_number
from ..projects import listing
from ..security import load, load_image

blueprint = Blueprint("api", __name__, url_prefix="/api/v4")
csrf.exempt(blueprint)


@blueprint.before_request
def identify() -> None:
    """Take identity from the request's credentials only: no cookie is read here."""
    g.principal = _principal()
    if not g.principal.lets_through(Right.SEE):
        raise Denied("The access token has no scope that reads.", hint="It needs read_registry.")


def _principal() -> Principal:
    if "Authorization" not in request.headers:
        return ANONYMOUS
    given, found = request.authorization, None
    if given is not None and given.type == "basic":
        found = authenticate(given.username or "", given.password or "", request.remote_addr or "")
    elif given is not None and given.type == "bearer":
        found = authenticate_token(given.token or "")
    if found is None:
        raise Unauthorized("The credentials are wrong.")
    return found


@blueprint.get("/projects")
def projects() -> Response:
    """List the projects that the caller may see; ``q`` filters, ``page`` pages."""
    q = request.args.get("q", "").strip()[:255]
    rows, page = listing.projects(db.session(), g.principal, true(), q, page_number())
    return jsonify(
        projects=[_project(row) for row in rows],
        page=page.number,
        pages=page.pages,
        total=page.total,
    )


@blueprint.get("/projects/<name:path>")
def project(path: str) -> Response:
    """Return one project."""
    place = load(path).project
    return jsonify(
        path=place.path,
        description=place.description,
        visibility=place.visibility,
        created_at=place.created_at.isoformat(),
    )


@blueprint.get("/projects/<name:path>/-/images")
def images(path: str) -> Response:
    """List the images of a project."""
    place = load(path).project
    rows = sorted(listing.images(db.session(), place), key=lambda row: row.name)
    return jsonify(images=[_image(row) for row in rows])


@blueprint.get("/projects/<name:path>/-/tags", defaults={"name": ""})
@blueprint.get("/projects/<name:path>/-/images/<name:name>/-/tags")
def tags(path: str, name: str) -> Response:
    """List the tags of an image, as the index has them."""
    _, image = load_image(path, name)
    rows = db.session.scalars(select(Tag).where(Tag.image_id == image.id).order_by(Tag.name))
    return jsonify(image=image.path, tags=[_tag(image, row) for row in rows])


def _project(row: listing.ProjectRow) -> dict[str, Any]:
    return {
        "path": row.path,
        "description": row.description,
        "visibility": row.visibility,
        "role": row.role,
        "image_count": row.image_count,
        "tag_count": row.tag_count,
        "last_push_at": _moment(row.last_push_at),
    }


def _image(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "repository": row.path,
        "tag_count": row.tag_count,
        "pull_count": row.pull_count,
        "last_push_at": _moment(row.last_push_at),
        "last_pushed_by": row.last_push_by,
    }


def _tag(image: ContainerImage, row: Tag) -> dict[str, Any]:
    return {
        "name": row.name,
        "reference": f"{image.path}:{row.name}",
        "digest": row.digest,
        "pushed_at": _moment(row.pushed_at),
        "pushed_by": row.pushed_by,
        "pull_count": row.pull_count,
        "last_pulled_at": _moment(row.last_pulled_at),
    }


def _moment(at: Any) -> str | None:
    return at.isoformat() if at else None
