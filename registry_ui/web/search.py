"""Search page. A query that identifies a single object redirects to the object's page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..db.session import db
from ..errors import Invalid
from ..http.identity import principal, registry_host
from ..search.finder import Finder, ImageHit, SearchResult, TagHit
from ..search.query import SearchQuery, parse
from .templating import image_url

blueprint = Blueprint("search", __name__)

#: Maximum number of hits of each kind if all kinds are shown, and if only one kind is shown.
FIRST, MOST = 10, 100


@blueprint.get("/-/search")
def show() -> Response | tuple[str, int]:
    """Show search results, or redirect to the page of the object that the query identifies.

    A whole reference, or a digest that belongs to a single tag, identifies an object.
    """
    given = request.args.get("q", "")
    try:
        query = parse(given, registry_host())
    except Invalid as error:
        return _page(SearchQuery(given), SearchResult(), errors=error.errors), error.status
    if not query.text:
        return _page(query, None), 200
    kind = request.args.get("kind", "")
    if kind not in SearchResult().kinds:
        kind = ""
    finder = Finder(db.session(), principal())
    meant = None if kind else finder.meant(query)
    found = SearchResult()
    if meant is None:
        found = finder.find(query, MOST if kind else FIRST, kind)
        meant = found.only if query.digest and not kind else None
    if meant is not None:
        return redirect(address(meant))
    return _page(query, found, kind=kind), 200


def address(hit: Any) -> str:
    """Return the address of the page of a search hit."""
    if isinstance(hit, TagHit):
        return image_url(hit.project_path, hit.image_name, "tag", tag=hit.name)
    if isinstance(hit, ImageHit):
        return image_url(hit.project_path, hit.name)
    return url_for("projects.show", path=hit.path)


def _page(query: SearchQuery, found: SearchResult | None, **more: Any) -> str:
    return render_template("search.html", query=query, found=found, address=address, **more)
