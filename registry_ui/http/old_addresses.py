"""Redirects from the old address of a page to its current one, after a rename or move."""

from __future__ import annotations

from flask import Flask, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ..access import (
    Permission,
    can_see,
    decide,
    former_name,
    path_access,
)
from ..db.session import db
from ..errors import NotFound
from .error_handlers import error_response
from .identity import principal


def init_app(app: Flask) -> None:
    """Answer a NotFound error with a redirect if the page has moved, otherwise with the error."""

    @app.errorhandler(NotFound)
    def on_not_found(error: NotFound) -> BaseResponse:
        address = _new_address()
        if address is not None:
            return redirect(address)
        return error_response(error.status, error.code, error.message, error.hint)


def _new_address() -> str | None:
    """Return the current address of a page that was requested by an old name.

    None if the page has not moved, or if the caller can't see it.
    """
    values = dict(request.view_args or {})
    if request.method != "GET" or request.endpoint is None or "path" not in values:
        return None
    session, who = db.session(), principal()
    whole = "/".join(filter(None, (values["path"], values.get("name"))))
    former = former_name(session, whole)
    if former is None:
        return None
    here = path_access(session, who, former.now)
    if here.place is None:
        return None
    if not decide(who, here, Permission.SEE).allowed and not can_see(session, who, here):
        return None
    if "name" in values:
        values |= {"path": here.place, "name": former.now[len(here.place) + 1 :]}
    elif here.exact:
        values["path"] = former.now
    else:
        return None
    query = request.query_string.decode("utf-8", "replace")
    return url_for(request.endpoint, **values) + (f"?{query}" if query else "")
