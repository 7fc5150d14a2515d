"""Redirects from the old address of a page to its current address after a move."""

from __future__ import annotations

from flask import Flask, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ..access import (
    Permission,
    can_see,
    decide,
    find_old_path,
    path_access,
)
from ..db.session import db
from ..errors import NotFound
from .error_handlers import ErrorContent, error_response
from .identity import principal


def init_app(app: Flask) -> None:
    """Redirect requests for a page that has moved, instead of responding with NotFound."""

    @app.errorhandler(NotFound)
    def on_not_found(error: NotFound) -> BaseResponse:
        address = _find_new_address()
        if address is not None:
            return redirect(address)
        return error_response(ErrorContent.from_error(error))


def _find_new_address() -> str | None:
    """Return the current address of a page that was requested by an old path.

    Returns:
        The address, or None if the page has not moved or if the caller can't see it.
    """
    values = dict(request.view_args or {})
    if request.method != "GET" or request.endpoint is None or "path" not in values:
        return None
    session, caller = db.session(), principal()
    repository = "/".join(filter(None, (values["path"], values.get("name"))))
    old_path = find_old_path(session, repository)
    if old_path is None:
        return None
    access = path_access(session, caller, old_path.new_path)
    if access.place is None:
        return None
    if not decide(caller, access, Permission.SEE).allowed and not can_see(session, caller, access):
        return None
    if "name" in values:
        values |= {"path": access.place, "name": old_path.new_path[len(access.place) + 1 :]}
    elif access.exact:
        values["path"] = old_path.new_path
    else:
        return None
    return with_query(url_for(request.endpoint, **values))


def with_query(address: str) -> str:
    """Return an address with the query string of the current request appended."""
    query = request.query_string.decode("utf-8", "replace")
    return address + (f"?{query}" if query else "")
