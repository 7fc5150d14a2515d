"""Errors as values with a message for a person, and one answer for each kind of caller.

Services raise subclasses of AppError; nothing else of ours reaches a caller.
The form follows the path: the token endpoint and the gate speak the registry's
own error JSON, ``/api/`` speaks API JSON, everything else gets a page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from werkzeug.exceptions import HTTPException

from .db.session import db

logger = logging.getLogger(__name__)

OCI_PREFIXES = ("/jwt/", "/auth/", "/gate/", "/v2/")
JSON_PREFIXES = ("/api/",)


@dataclass(frozen=True, slots=True)
class Link:
    """A page of ours that an error leads to: its endpoint and the values of its address."""

    text: str
    endpoint: str
    values: Mapping[str, Any]


class AppError(Exception):
    """Something that the caller can understand and often mend.

    ``code`` is a word of the OCI error codes where one fits; ``hint`` says what to do, and
    ``links`` lead to the pages for it.
    """

    status = 400
    code = "UNSUPPORTED"
    links: Sequence[Link] = ()

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(AppError):
    """It does not exist, or the caller may not know that it does: one and the same answer."""

    status = 404
    code = "NAME_UNKNOWN"

    def __init__(self, message: str = "There is nothing here.", hint: str = "") -> None:
        super().__init__(message, hint)


class Denied(AppError):
    """The caller may see it, but not do this to it."""

    status = 403
    code = "DENIED"


class Unauthorized(AppError):
    """The credentials are missing or wrong."""

    status = 401
    code = "UNAUTHORIZED"


class Invalid(AppError):
    """One or more values of a form or a request cannot be used.

    ``errors`` maps the field's name to what is wrong with it.
    """

    status = 422
    code = "NAME_INVALID"

    def __init__(self, message: str, errors: dict[str, str] | None = None, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errors = errors or {}


class Clash(Invalid):
    """The name is taken, or something changed under the caller's feet."""

    status = 409

    def __init__(
        self,
        message: str,
        errors: dict[str, str] | None = None,
        hint: str = "",
        links: Sequence[Link] = (),
    ) -> None:
        super().__init__(message, errors, hint)
        self.links = links


class StateConflict(Clash):
    """What the request is about can't be done any more: it was begun, discarded, or has ended."""

    code = "CONFLICT"


class RegistryTrouble(AppError):
    """The registry is down, slow, refuses, or answers nonsense."""

    status = 502
    code = "UNAVAILABLE"


class TooLarge(AppError):
    """More than is read here."""

    status = 413
    code = "SIZE_INVALID"

    def __init__(self) -> None:
        super().__init__("The request is larger than allowed.")


class SiteBusy(AppError):
    """Too many pages are being answered at this moment."""

    status = 503
    code = "UNAVAILABLE"
    retry_after = 2

    def __init__(self) -> None:
        super().__init__("The site is busy.", "Try again in a few seconds.")


class DatabaseDown(AppError):
    """It can't be reached, or is too busy."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The database does not answer.", "Try again in a moment.")


class ImpossibleValue(AppError):
    """The database refuses to keep or compare it."""

    def __init__(self) -> None:
        super().__init__("A value holds characters that can't be stored.")


class Unexpected(AppError):
    """Our own mistake. What it is stays in the log."""

    status = 500
    code = "UNKNOWN"

    def __init__(self) -> None:
        super().__init__("Something broke on our side.", "Try again; the log says more.")


def oci_error(code: str, message: str, hint: str = "") -> dict[str, Any]:
    """Return an error as the registry writes it: docker prints ``errors[0].message``."""
    return {"errors": [{"code": code, "message": message, "detail": hint or None}]}


def error_response(
    status: int,
    code: str,
    message: str,
    hint: str = "",
    errors: Mapping[str, str] | None = None,
    links: Sequence[Link] = (),
) -> Response:
    """Answer in the form that the caller of this path expects.

    Args:
        errors: what is wrong, by field or key.
        links: for the page; programs find what they need in the text.
    """
    message = " ".join(dict.fromkeys([message, *(errors or {}).values()]))
    if request.path.startswith(OCI_PREFIXES):
        body = jsonify(oci_error(code, message, hint))
    elif request.path.startswith(JSON_PREFIXES):
        more = {"errors": dict(errors)} if errors else {}
        body = jsonify(error={"code": code, "message": message, "hint": hint or None, **more})
    else:
        body = _page(status, message, hint, links)
    body.status_code = status
    body.headers["Cache-Control"] = "no-store"
    return body


def _page(status: int, message: str, hint: str, links: Sequence[Link]) -> Response:
    try:
        return make_response(
            render_template("error.html", status=status, message=message, hint=hint, links=links)
        )
    except Exception:  # noqa: BLE001 - an error page must not fail for a second reason
        # The frame needs the database, and a Host header that makes sense.
        return make_response(f"{message} {hint}", {"Content-Type": "text/plain; charset=utf-8"})


def init_app(app: Flask) -> None:
    """Register the handlers. An unexpected error is logged and answered without its text."""
    _on_database(app)

    @app.errorhandler(AppError)
    def on_app_error(error: AppError) -> Response:
        errors = error.errors if isinstance(error, Invalid) else {}
        response = error_response(
            error.status, error.code, error.message, error.hint, errors, error.links
        )
        if error.status == 429 or isinstance(error, SiteBusy):
            response.headers["Retry-After"] = str(getattr(error, "retry_after", 60))
        if error.status == 401 and not request.path.startswith("/-/"):
            # A Bearer challenge here would be merged by docker as a second error (PROTOCOLS 1.5).
            response.headers["WWW-Authenticate"] = 'Basic realm="registry_ui"'
        return response

    @app.errorhandler(HTTPException)
    def on_http_exception(error: HTTPException) -> Response:
        status = error.code or 500
        if error.response is not None or status < 400:  # pragma: no cover - redirects of routing
            return make_response(error.get_response())
        message, hint = _HTTP_WORDS.get(status, (error.description or error.name, ""))
        response = error_response(status, _HTTP_CODES.get(status, "UNKNOWN"), message, hint)
        for name, value in error.get_headers():
            if name.lower() in {"allow", "retry-after"}:
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def on_unexpected(error: Exception) -> Response:
        logger.error("unexpected error on %s %s", request.method, request.path, exc_info=error)
        return _answer_with(Unexpected())


def _answer_with(error: AppError) -> Response:
    return error_response(error.status, error.code, error.message, error.hint)


def _on_database(app: Flask) -> None:
    """Register what is answered when the database does not, or can't keep a value."""

    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    def on_database_down(error: DBAPIError) -> Response:
        logger.error("the database does not answer: %s", type(error.orig).__name__)
        return _answer_with(DatabaseDown())

    @app.errorhandler(DataError)
    def on_impossible_value(_error: DataError) -> Response:
        db.session.rollback()
        return _answer_with(ImpossibleValue())


_HTTP_CODES = {404: "NAME_UNKNOWN", 405: "UNSUPPORTED", 413: "SIZE_INVALID", 429: "TOOMANYREQUESTS"}
_HTTP_WORDS = {
    404: ("There is nothing here.", ""),
    405: ("This address does not take that method.", ""),
    413: (TooLarge().message, ""),
}
