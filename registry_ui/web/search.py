"""Search page for namespaces, projects, images, and tags, limited to those that are visible."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..db.session import db
from ..errors import Invalid
from ..http.identity import principal, registry_host
from ..search.finder import Finder, ImageHit, SearchResult, TagHit
from ..search.query import SearchQuery, parse
from .addresses import image_url

blueprint = Blueprint("search", __name__)

#: Maximum number of hits of each kind, if the page shows all kinds and if it shows only one.
PREVIEW_LIMIT, MAX_HITS = 10, 100


@blueprint.get("/-/search")
def show() -> Response | tuple[str, int]:
    """Show search results, or redirect to the page of the object that the query identifies.

    A query identifies an object if it is a complete reference, or a digest with only one hit.
    """
    text = request.args.get("q", "")
    try:
        query = parse(text, registry_host())
    except Invalid as error:
        return _render_page(SearchQuery(text), SearchResult(), errors=error.errors), error.status
    if not query.text:
        return _render_page(query, SearchResult()), 200
    kind = request.args.get("kind", "")
    if kind not in SearchResult().kinds:
        kind = ""
    finder = Finder(db.session(), principal())
    target = None if kind else finder.exact_match(query)
    result = SearchResult()
    if target is None:
        result = finder.find(query, MAX_HITS if kind else PREVIEW_LIMIT, kind)
        target = result.single_hit if query.digest and not kind else None
    if target is not None:
        return redirect(address(target))
    return _render_page(query, result, kind=kind), 200


def address(hit: Any) -> str:
    """Return the page address of a search hit: a tag, image, project, or namespace."""
    if isinstance(hit, TagHit):
        return image_url(hit.project_path, hit.image_name, "registry.tag", tag=hit.name)
    if isinstance(hit, ImageHit):
        return image_url(hit.project_path, hit.name)
    return url_for("projects.show", path=hit.path)


def _render_page(query: SearchQuery, result: SearchResult, **variables: Any) -> str:
    hits = result.kinds.values()
    return render_template(
        "search.html",
        query=query,
        result=result,
        total=sum(map(len, hits)),
        has_more=any(rows.has_more for rows in hits),
        address=address,
        **variables,
    )
