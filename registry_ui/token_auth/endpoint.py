"""Token endpoint of the registry (its ``realm``): GET and POST /jwt/auth, as WSGI middleware.

Every docker command waits for this endpoint, so it bypasses Flask's routing, sessions, and
templates; all other requests are passed on to the application. The identity comes only from
the Authorization header or the form: ``account`` is just a hint, and cookies are not read
(PROTOCOLS 6.2, 6.10).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from flask import Flask
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from ..accounts.basic_credentials import read_authorization
from ..db.session import db
from ..errors import AppError, DatabaseDown, InternalError, InvalidValue, PayloadTooLarge, oci_error
from .token_request import Caller, answer_form, answer_query

logger = logging.getLogger(__name__)

#: Paths of the token endpoint. The registry's ``autoredirect`` option sends clients to
#: /auth/token. Variants with a trailing slash are served directly, because a redirect would
#: lose the credentials or the form.
PATHS = frozenset({"/jwt/auth", "/auth/token", "/jwt/auth/", "/auth/token/"})
#: Maximum size of a form in bytes; enough for fifty scopes and a password.
MAX_FORM = 64 * 1024
#: Maximum number of parameters in a query or form. The limit for scopes is lower (scope.py).
MAX_FIELDS = 10_000
METHODS = "GET, HEAD, POST"

StartResponse = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response: status, body, and the headers specific to this response."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=())


class MethodNotAllowed(AppError):
    """The request method is not GET, HEAD, or POST (HTTP 405)."""

    status = 405


class TokenEndpoint:
    """WSGI middleware that answers token requests and passes on all other requests.

    Args:
        app: the Flask application; its application context is active for each token request.
        inner: the WSGI application that answers all other requests.
        headers: headers to add to every response to a token request.
    """

    def __init__(self, app: Flask, inner: Any, headers: Iterable[tuple[str, str]]) -> None:
        self._app, self._inner = app, inner
        self._headers = [("Content-Type", "application/json"), *headers]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a token request, or pass any other request on (WSGI)."""
        if environ["PATH_INFO"] not in PATHS:
            response: Iterable[bytes] = self._inner(environ, start_response)
            return response
        with self._app.app_context():
            answer = self._answer(environ)
        length = ("Content-Length", str(len(answer.body)))
        headers = [*self._headers, length, *answer.headers]
        start_response(f"{answer.status} {_REASON_PHRASES.get(answer.status, 'Error')}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, environ: dict[str, Any]) -> HttpAnswer:
        try:
            body = _answer_request(environ)
            return HttpAnswer(200, orjson.dumps(body))
        except AppError as error:
            return _answer_from_error(error)
        except RequestEntityTooLarge:
            return _answer_from_error(PayloadTooLarge())
        except DataError:
            db.session.rollback()
            return _answer_from_error(InvalidValue())
        except (OperationalError, InterfaceError) as error:
            logger.error("the database does not answer: %s", type(error.orig).__name__)  # noqa: TRY400
            return _answer_from_error(DatabaseDown())
        except Exception:
            logger.exception("unexpected error of the token endpoint")
            return _answer_from_error(InternalError())


def _answer_request(environ: dict[str, Any]) -> dict[str, Any]:
    """Return the response body for a token request; raise AppError if it is refused."""
    method = environ["REQUEST_METHOD"]
    caller = Caller(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_USER_AGENT", ""))
    if method in {"GET", "HEAD"}:
        pairs = _parse_pairs(environ.get("QUERY_STRING", ""))
        header = environ.get("HTTP_AUTHORIZATION")
        return answer_query(caller, pairs, header, read_authorization(header))
    if method != "POST":
        raise MethodNotAllowed("This address takes GET and POST.")
    return answer_form(caller, _read_form(environ))


def _read_form(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of the request's form; none if its content type is not that of a form."""
    content_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        return []
    # Some clients send the form chunked, without Content-Length (PROTOCOLS 1.3).
    stream = get_input_stream(environ, max_content_length=MAX_FORM)
    return _parse_pairs(stream.read().decode("utf-8", "replace"))


def _parse_pairs(query: str) -> list[tuple[str, str]]:
    """Parse parameters like urllib.parse.parse_qsl(), in a quarter of the time."""
    parts = query.split("&")
    if len(parts) > MAX_FIELDS:
        raise AppError("The request has too many parameters.")
    split = (part.partition("=") for part in parts if part)
    return [(_unquote(name), _unquote(value)) for name, _, value in split]


def _unquote(text: str) -> str:
    text = text.replace("+", " ")
    return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text else text


def _answer_from_error(error: AppError) -> HttpAnswer:
    headers = []
    if error.status == 401:
        # Not Bearer: docker would show the challenge as a second error (PROTOCOLS 1.5).
        headers.append(("WWW-Authenticate", 'Basic realm="registry_ui"'))
    if error.status == 405:
        headers.append(("Allow", METHODS))
    if error.status == 429:
        headers.append(("Retry-After", str(getattr(error, "retry_after", 60))))
    body = orjson.dumps(oci_error(error.code, error.message, error.hint))
    return HttpAnswer(error.status, body, tuple(headers))


_REASON_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
