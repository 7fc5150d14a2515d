"""What programs may read, as JSON, with an access token or as anyone."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request, url_for
from sqlalchemy import select, true

from ..access import ANONYMOUS, Principal, Right
from ..accounts.authentication import Attempt, authenticate, authenticate_token
from ..accounts.basic_credentials import read_authorization
from ..catalog.live_tags import DAMAGES
from ..db.session import csrf, db
from ..errors import Denied, Unauthorized
from ..http.loaders import load, load_image, registry_host
from ..http.query_args import page_number
from ..models import ContainerImage, Tag
from ..pagination import NoSuchPage
from ..projects import listing
from ..search.finder import Finder, ImageHit, TagHit
from ..search.query import parse

blueprint = Blueprint("api", __name__, url_prefix="/api/v4")
csrf.exempt(blueprint)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Repositories in one answer of the catalog.
MAX_CATALOG = 1000
#: Of each kind in one answer of the search.
DEFAULT_FOUND, MAX_FOUND = 20, 100


@blueprint.before_request
def identify() -> None:
    """Take identity from the request's credentials only: no cookie is read here.

    What changes something is here whole by then: a request that was begun before a block or
    with a token that has expired would else be finished behind it.
    """
    if request.method not in SAFE_METHODS:
        request.get_data()
    g.principal = _principal()
    if not g.principal.lets_through(Right.SEE):
        raise Denied("The access token has no scope that reads.", hint="It needs read_registry.")


def _principal() -> Principal:
    if "Authorization" not in request.headers:
        return ANONYMOUS
    given = read_authorization(request.headers["Authorization"])
    address = request.remote_addr or ""
    if given is not None and given.type == "basic":
        attempt = Attempt(given.username or "", given.password or "", address)
        # Where account passwords are for the pages alone, a program shows a token here too.
        return authenticate(attempt, passwords=not current_app.config["SETTINGS"].tokens_only)
    if given is not None and given.type == "bearer":
        return authenticate_token(given.token or "")
    raise Unauthorized("The credentials are wrong.")


@blueprint.get("/projects")
def projects() -> Response:
    """List the projects that the caller may see; ``q`` filters, ``page`` pages."""
    q = request.args.get("q", "").strip()[:255]
    number = page_number()
    try:
        rows, page = listing.projects(db.session(), g.principal, true(), q, number)
    except NoSuchPage as error:
        # A program that reads page by page ends at an empty one.
        return jsonify(projects=[], page=number, pages=error.pages, total=error.total)
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
    """List the images of a project, those that the caller's token reaches."""
    place, reach = load(path).project, g.principal.reach
    rows = sorted(listing.images(db.session(), place), key=lambda row: row.name)
    rows = [row for row in rows if reach is None or reach.covers(row.path)]
    return jsonify(images=[_image(row) for row in rows])


@blueprint.get("/projects/<name:path>/-/tags", defaults={"name": ""})
@blueprint.get("/projects/<name:path>/-/images/<name:name>/-/tags")
def tags(path: str, name: str) -> Response:
    """List the tags of an image, as the index has them."""
    _, image = load_image(path, name)
    rows = db.session.scalars(select(Tag).where(Tag.image_id == image.id).order_by(Tag.name))
    return jsonify(image=image.path, tags=[_tag(image, row) for row in rows])


@blueprint.get("/registry/catalog")
def catalog() -> Response:
    """List the repositories that the caller may pull: everybody's own ``_catalog``.

    Paged as the registry's is: ``n`` at a time, after ``last``, with a Link to what follows.
    """
    if not g.principal.lets_through(Right.PULL):
        raise Denied("The token has no scope that pulls.", hint="It needs read_registry.")
    n = _how_many(MAX_CATALOG, MAX_CATALOG)
    last = request.args.get("last", "")[:255].replace("\x00", "")
    found = listing.repositories(db.session(), g.principal, last, n + 1)
    response = jsonify(repositories=found[:n])
    if n and len(found) > n:
        following = url_for("api.catalog", n=n, last=found[n - 1])
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


@blueprint.get("/registry/search")
def search() -> Response:
    """Find namespaces, projects, images and tags; ``n`` of each kind at most."""
    query = parse(request.args.get("q", ""), registry_host())
    n = _how_many(DEFAULT_FOUND, MAX_FOUND)
    found = Finder(db.session(), g.principal).find(query, n)
    return jsonify(
        query=query.text,
        namespaces=[{"path": hit.path, "description": hit.description} for hit in found.namespaces],
        projects=[
            {"path": hit.path, "description": hit.description, "visibility": hit.visibility}
            for hit in found.projects
        ],
        images=[_image_hit(hit) for hit in found.images],
        tags=[_tag_hit(hit) for hit in found.tags],
        more=[kind for kind, hits in found.kinds.items() if hits.more],
    )


def _how_many(usual: int, most: int) -> int:
    """Return how many the URL asks for, ``usual`` for anything that is no number."""
    asked = request.args.get("n", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 8
    return min(int(asked), most) if is_number else usual


def _image_hit(hit: ImageHit) -> dict[str, Any]:
    return {
        "project": hit.project_path,
        "name": hit.name,
        "repository": hit.path,
        "tag_count": hit.tag_count,
        "last_push_at": _moment(hit.last_push_at),
    }


def _tag_hit(hit: TagHit) -> dict[str, Any]:
    return {
        "project": hit.project_path,
        "image": hit.image_name,
        "name": hit.name,
        "reference": f"{hit.repository}:{hit.name}",
        "digest": hit.digest,
        "pushed_at": _moment(hit.pushed_at),
        "pushed_by": hit.pushed_by,
    }


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
        "unreadable": _damage(row),
    }


def _damage(row: Tag) -> dict[str, Any] | None:
    """Return why the registry can't read a tag, and since when; None if it can."""
    if row.damage is None:
        return None
    return {"reason": DAMAGES[row.damage], "since": _moment(row.damaged_since)}


def _moment(at: Any) -> str | None:
    return at.isoformat() if at else None
