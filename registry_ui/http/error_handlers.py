"""Error handlers that respond in the format that each kind of caller expects.

The format depends on the path: the token endpoint and the gate (which authorizes pushes for the
registry's proxy) use the OCI error JSON, ``/api/`` uses the JSON of the API, and all other paths
return an HTML page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from werkzeug.exceptions import HTTPException

from ..db.session import db
from ..errors import (
    AppError,
    DatabaseDown,
    InternalError,
    Invalid,
    InvalidValue,
    Link,
    PayloadTooLarge,
    SiteBusy,
    oci_error,
)

logger = logging.getLogger(__name__)
OCI_PREFIXES = ("/jwt/", "/auth/", "/gate/", "/v2/")
JSON_PREFIXES = ("/api/",)
_HTTP_CODES = {404: "NAME_UNKNOWN", 405: "UNSUPPORTED", 413: "SIZE_INVALID", 429: "TOOMANYREQUESTS"}
_HTTP_MESSAGES = {
    404: ("There is nothing here.", ""),
    405: ("This address does not take that method.", ""),
    413: (PayloadTooLarge().message, ""),
}


@dataclass(frozen=True, slots=True)
class ErrorContent:
    """The content of an error response, independent of its format.

    Attributes:
        status: HTTP status.
        code: OCI error code.
        message: a sentence that describes the error.
        hint: advice on what to do; empty for none.
        errors: error messages by name of the invalid form field or JSON key.
        links: links for the HTML page; JSON responses do not contain them.
    """

    status: int
    code: str
    message: str
    hint: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Link] = ()

    @classmethod
    def from_error(cls, error: AppError) -> Self:
        """Return the content of the response for an AppError."""
        return cls(
            status=error.status,
            code=error.code,
            message=error.message,
            hint=error.hint,
            errors=error.errors if isinstance(error, Invalid) else {},
            links=error.links,
        )


def error_response(content: ErrorContent) -> Response:
    """Return an error response in the format that belongs to the path of the current request."""
    code, hint, errors = content.code, content.hint, content.errors
    message = " ".join(dict.fromkeys([content.message, *errors.values()]))
    if request.path.startswith(OCI_PREFIXES):
        response = jsonify(oci_error(code, message, hint))
    elif request.path.startswith(JSON_PREFIXES):
        extra = {"errors": dict(errors)} if errors else {}
        response = jsonify(error={"code": code, "message": message, "hint": hint or None, **extra})
    else:
        response = _render_page(content.status, message, hint, content.links)
    response.status_code = content.status
    response.headers["Cache-Control"] = "no-store"
    return response


def _render_page(status: int, message: str, hint: str, links: Sequence[Link]) -> Response:
    try:
        return make_response(
            render_template("error.html", status=status, message=message, hint=hint, links=links)
        )
    except Exception:  # noqa: BLE001 - an error page must not fail for a second reason
        # The page layout needs the database and a valid Host header, so rendering can fail as well.
        return make_response(f"{message} {hint}", {"Content-Type": "text/plain; charset=utf-8"})


def init_app(app: Flask) -> None:
    """Register the error handlers. Unexpected errors are logged; clients do not see their text."""
    _register_database_handlers(app)

    @app.errorhandler(AppError)
    def on_app_error(error: AppError) -> Response:
        response = error_response(ErrorContent.from_error(error))
        if error.status == 429 or isinstance(error, SiteBusy):
            response.headers["Retry-After"] = str(getattr(error, "retry_after", 60))
        if error.status == 401 and not request.path.startswith("/-/"):
            # Docker would report a Bearer challenge here as a second error (PROTOCOLS 1.5).
            response.headers["WWW-Authenticate"] = 'Basic realm="registry_ui"'
        return response

    @app.errorhandler(CSRFError)
    def on_csrf(_error: CSRFError) -> Response:
        content = ErrorContent(
            status=400,
            code="DENIED",
            message="The form was too old, or did not come from this site.",
            hint="Go back, reload the page, and send it again.",
        )
        return error_response(content)

    @app.errorhandler(HTTPException)
    def on_http_exception(error: HTTPException) -> Response:
        status = error.code or 500
        if error.response is not None or status < 400:  # pragma: no cover - redirects of routing
            return make_response(error.get_response())
        message, hint = _HTTP_MESSAGES.get(status, (error.description or error.name, ""))
        code = _HTTP_CODES.get(status, "UNKNOWN")
        response = error_response(ErrorContent(status, code, message, hint))
        for name, value in error.get_headers():
            if name.lower() in {"allow", "retry-after"}:
                response.headers[name] = value
        return response

    if not app.debug:  # In debug mode, the debugger shows the error.
        app.register_error_handler(Exception, _handle_unexpected)


def _handle_unexpected(error: Exception) -> Response:
    logger.error("unexpected error on %s %s", request.method, request.path, exc_info=error)
    return error_response(ErrorContent.from_error(InternalError()))


def _register_database_handlers(app: Flask) -> None:
    """Register the handlers for a database that is unavailable or rejects a value."""

    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    def on_database_down(error: DBAPIError) -> Response:
        logger.error("the database does not answer: %s", type(error.orig).__name__)
        return error_response(ErrorContent.from_error(DatabaseDown()))

    @app.errorhandler(DataError)
    def on_impossible_value(_error: DataError) -> Response:
        db.session.rollback()
        return error_response(ErrorContent.from_error(InvalidValue()))
