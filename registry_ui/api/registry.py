"""API endpoints for the whole registry, as far as the caller can see it: catalog and search."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify, request, url_for

from ..access import Permission
from ..db.session import db
from ..errors import Denied
from ..http.identity import registry_host
from ..projects import listing
from ..search.finder import Finder, ImageHit, TagHit
from ..search.query import parse
from . import blueprint
from .timestamps import iso_or_none

#: Maximum number of repositories in one response of the catalog.
MAX_CATALOG = 1000
#: Default and maximum number of hits of each kind in one response of the search.
DEFAULT_FOUND, MAX_FOUND = 20, 100


@blueprint.get("/registry/catalog")
def catalog() -> Response:
    """List the repositories that the caller can pull, like the registry's own ``_catalog``.

    Pages work as in the registry: ``n`` repositories after ``last``, and a Link header with the
    address of the next page.

    Raises:
        Denied: the access token has no scope that permits pulling.
    """
    if not g.principal.lets_through(Permission.PULL):
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
    """Search namespaces, projects, images and tags; return at most ``n`` hits of each kind."""
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
    """Return the query argument ``n``, at most ``most``; ``usual`` if it is not a number."""
    asked = request.args.get("n", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 8
    return min(int(asked), most) if is_number else usual


def _image_hit(hit: ImageHit) -> dict[str, Any]:
    return {
        "project": hit.project_path,
        "name": hit.name,
        "repository": hit.path,
        "tag_count": hit.tag_count,
        "last_push_at": iso_or_none(hit.last_push_at),
    }


def _tag_hit(hit: TagHit) -> dict[str, Any]:
    return {
        "project": hit.project_path,
        "image": hit.image_name,
        "name": hit.name,
        "reference": f"{hit.repository}:{hit.name}",
        "digest": hit.digest,
        "pushed_at": iso_or_none(hit.pushed_at),
        "pushed_by": hit.pushed_by,
    }
