"""What every page of a list needs: which page of how many, and the way back up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from ..pagination import NoSuchPage


def init_app(app: Flask) -> None:
    """Send a visitor whose page is gone, because rows were deleted, to the last one."""
    app.register_error_handler(NoSuchPage, _go_to_last)


def _go_to_last(error: NoSuchPage) -> Response:
    return redirect(current_address(**{error.name: error.pages if error.pages > 1 else None}))


def crumbs(path: str) -> list[tuple[str, str]]:
    """Return a link for each segment of a path."""
    parts = path.split("/")
    return [(part, "/".join(parts[: depth + 1])) for depth, part in enumerate(parts)]


def page_number(name: str = "page") -> int:
    """Return the page that the URL asks for; 1 for anything that is none."""
    text = request.args.get(name, "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def search_text() -> str:
    """Return what the URL searches for, no longer than a name can be."""
    return request.args.get("q", "").strip()[:255]


def sort_order(sorts: tuple[str, ...], first: str) -> tuple[str, str]:
    """Return by what the URL sorts, ``first`` for anything that is none, and which way."""
    sort = request.args.get("sort", first)
    return sort if sort in sorts else first, "desc" if request.args.get(
        "order"
    ) == "desc" else "asc"


def query_text(name: str) -> str:
    """Return a value of the query that the database can compare with."""
    value = request.args.get(name, "").strip()[:255]
    return "".join(character for character in value if character.isprintable())


def query_with(pairs: Iterable[tuple[str, str]], changes: Mapping[str, object]) -> str:
    """Return a query string with some values changed; an empty or None value is left out."""
    kept = [(name, value) for name, value in pairs if name not in changes and value]
    new = [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
    return urlencode(kept + new)


def current_address(**changes: object) -> str:
    """Return the address of this page with some values of its query changed."""
    query = query_with(request.args.items(multi=True), changes)
    # One slash at the start: two would lead to another host.
    path = request.script_root + "/" + quote(request.path.lstrip("/"), safe="/:@!$&'()*+,;=")
    return f"{path}?{query}" if query else path
