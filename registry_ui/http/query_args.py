"""Read the query arguments of lists (page, search text, sort order), and build links with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from ..pagination import NoSuchPage


def init_app(app: Flask) -> None:
    """Redirect to the last page of a list if the requested one no longer exists."""
    app.register_error_handler(NoSuchPage, _redirect_to_last_page)


def _redirect_to_last_page(error: NoSuchPage) -> Response:
    return redirect(current_address(**{error.name: error.pages if error.pages > 1 else None}))


def crumbs(path: str) -> list[tuple[str, str]]:
    """Return the breadcrumbs of a path as (label, path) pairs, one for each segment."""
    parts = path.split("/")
    return [(part, "/".join(parts[: depth + 1])) for depth, part in enumerate(parts)]


def page_number(name: str = "page") -> int:
    """Return the page number in the query string; 1 if it is missing or not a number.

    Args:
        name: name of the query argument.
    """
    text = request.args.get(name, "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def search_text() -> str:
    """Return the search text in the query string, cut to the maximum length of a name."""
    return request.args.get("q", "").strip()[:255]


def sort_order(sorts: tuple[str, ...], default: str) -> tuple[str, str]:
    """Return the sort key and the direction that the query string requests.

    Args:
        sorts: the sort keys that are allowed.
        default: the sort key if the query string contains none or one that is not allowed.

    Returns:
        The sort key, and ``"asc"`` or ``"desc"``.
    """
    sort = request.args.get("sort", default)
    return sort if sort in sorts else default, "desc" if request.args.get(
        "order"
    ) == "desc" else "asc"


def query_text(name: str) -> str:
    """Return a query argument without unprintable characters, which a database can reject."""
    value = request.args.get(name, "").strip()[:255]
    return "".join(character for character in value if character.isprintable())


def query_with(pairs: Iterable[tuple[str, str]], changes: Mapping[str, object]) -> str:
    """Return a query string with some values changed, and without empty values.

    Args:
        pairs: the names and values of the current query string.
        changes: the new value of each name; empty or None to remove the name.
    """
    other_pairs = [(name, value) for name, value in pairs if name not in changes and value]
    new_pairs = [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
    return urlencode(other_pairs + new_pairs)


def current_address(**changes: object) -> str:
    """Return the address of the current page with some query arguments changed."""
    query = query_with(request.args.items(multi=True), changes)
    # Start with exactly one slash, because browsers read two as the start of a host name.
    path = request.script_root + "/" + quote(request.path.lstrip("/"), safe="/:@!$&'()*+,;=")
    return f"{path}?{query}" if query else path
