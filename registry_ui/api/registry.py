"""API endpoints for the catalog and the search, limited to what the caller can see."""

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

#: Default and maximum number of repositories in one response of the catalog.
MAX_CATALOG = 1000
#: Default and maximum number of hits of each kind (such as tags) in one response of the search.
DEFAULT_HITS, MAX_HITS = 20, 100


@blueprint.get("/registry/catalog")
def catalog() -> Response:
    """List the repositories that the caller can pull from, like the registry's own ``_catalog``.

    Pagination works as in the registry: a page has ``n`` repositories after the name ``last``, and
    a Link header with the address of the next page.

    Raises:
        Denied: the access token has no scope that permits pulling.
    """
    if not g.principal.lets_through(Permission.PULL):
        raise Denied("The token has no scope that pulls.", hint="It needs read_registry.")
    n = _read_limit(MAX_CATALOG, MAX_CATALOG)
    last = request.args.get("last", "")[:255].replace("\x00", "")
    repositories = listing.repositories(db.session(), g.principal, last, n + 1)
    response = jsonify(repositories=repositories[:n])
    if n and len(repositories) > n:
        next_url = url_for("api.catalog", n=n, last=repositories[n - 1])
        response.headers["Link"] = f'<{next_url}>; rel="next"'
    return response


@blueprint.get("/registry/search")
def search() -> Response:
    """Search namespaces, projects, images, and tags; return at most ``n`` hits of each kind."""
    query = parse(request.args.get("q", ""), registry_host())
    n = _read_limit(DEFAULT_HITS, MAX_HITS)
    result = Finder(db.session(), g.principal).find(query, n)
    return jsonify(
        query=query.text,
        namespaces=[
            {"path": hit.path, "description": hit.description} for hit in result.namespaces
        ],
        projects=[
            {"path": hit.path, "description": hit.description, "visibility": hit.visibility}
            for hit in result.projects
        ],
        images=[_serialize_image_hit(hit) for hit in result.images],
        tags=[_serialize_tag_hit(hit) for hit in result.tags],
        more=[kind for kind, hits in result.kinds.items() if hits.has_more],
    )


def _read_limit(default: int, maximum: int) -> int:
    """Return the query argument ``n``, at most ``maximum``; ``default`` if it is not a number."""
    text = request.args.get("n", "")
    is_number = text.isascii() and text.isdigit() and len(text) < 8
    return min(int(text), maximum) if is_number else default


def _serialize_image_hit(hit: ImageHit) -> dict[str, Any]:
    return {
        "project": hit.project_path,
        "name": hit.name,
        "repository": hit.path,
        "tag_count": hit.tag_count,
        "last_push_at": iso_or_none(hit.last_push_at),
    }


def _serialize_tag_hit(hit: TagHit) -> dict[str, Any]:
    return {
        "project": hit.project_path,
        "image": hit.image_name,
        "name": hit.name,
        "reference": f"{hit.repository}:{hit.name}",
        "digest": hit.digest,
        "pushed_at": iso_or_none(hit.pushed_at),
        "pushed_by": hit.pushed_by,
    }
