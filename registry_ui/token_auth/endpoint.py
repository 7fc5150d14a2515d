"""The realm of the registry: GET and POST /jwt/auth and its alias, as plain WSGI.

Every docker command waits here, so the way in is short: no routing, no session, no
template; the rest of the application is behind it. Identity comes from the
Authorization header or the form only: ``account`` is a hint, and no cookie is read
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

#: The second is where the registry's autoredirect sends clients. With a slash at the end
#: it is the same: a redirect would lose what clients send.
PATHS = frozenset({"/jwt/auth", "/auth/token", "/jwt/auth/", "/auth/token/"})
#: A form with fifty scopes and a password has room in this.
MAX_FORM = 64 * 1024
#: So many parameters are read; of scopes, far fewer count.
MAX_FIELDS = 10_000
METHODS = "GET, HEAD, POST"

StartResponse = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What is sent back."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=())


class MethodNotAllowed(AppError):
    """Another method than those of the protocol."""

    status = 405


class TokenEndpoint:
    """Answers the token endpoint's addresses; everything else goes on to the application.

    Args:
        app: whose context the answers are made in.
        behind: what answers all other addresses.
        headers: what every answer carries.
    """

    def __init__(self, app: Flask, behind: Any, headers: Iterable[tuple[str, str]]) -> None:
        self._app, self._behind = app, behind
        self._headers = [("Content-Type", "application/json"), *headers]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] not in PATHS:
            behind: Iterable[bytes] = self._behind(environ, start_response)
            return behind
        with self._app.app_context():
            answer = self._answer(environ)
        length = ("Content-Length", str(len(answer.body)))
        headers = [*self._headers, length, *answer.headers]
        start_response(f"{answer.status} {_WORDS.get(answer.status, 'Error')}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, environ: dict[str, Any]) -> HttpAnswer:
        try:
            found = _asked(environ)
            return HttpAnswer(200, orjson.dumps(found))
        except AppError as error:
            return _refusal(error)
        except RequestEntityTooLarge:
            return _refusal(PayloadTooLarge())
        except DataError:
            db.session.rollback()
            return _refusal(InvalidValue())
        except (OperationalError, InterfaceError) as error:
            logger.error("the database does not answer: %s", type(error.orig).__name__)  # noqa: TRY400
            return _refusal(DatabaseDown())
        except Exception:
            logger.exception("unexpected error of the token endpoint")
            return _refusal(InternalError())


def _asked(environ: dict[str, Any]) -> dict[str, Any]:
    """Read the request and answer it; raise AppError for what can't be."""
    method = environ["REQUEST_METHOD"]
    asked = Caller(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_USER_AGENT", ""))
    if method in {"GET", "HEAD"}:
        pairs = _pairs(environ.get("QUERY_STRING", ""))
        header = environ.get("HTTP_AUTHORIZATION")
        return answer_query(asked, pairs, header, read_authorization(header))
    if method != "POST":
        raise MethodNotAllowed("This address takes GET and POST.")
    return answer_form(asked, _form(environ))


def _form(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of a form. What is sent as anything else has none."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return []
    # Some send the form in chunks, without its length (PROTOCOLS 1.3).
    stream = get_input_stream(environ, max_content_length=MAX_FORM)
    return _pairs(stream.read().decode("utf-8", "replace"))


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the parameters, as urllib.parse.parse_qsl() does, at a quarter of its price."""
    parts = query.split("&")
    if len(parts) > MAX_FIELDS:
        raise AppError("The request has too many parameters.")
    split = (part.partition("=") for part in parts if part)
    return [(_unquoted(name), _unquoted(value)) for name, _, value in split]


def _unquoted(text: str) -> str:
    text = text.replace("+", " ")
    return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text else text


def _refusal(error: AppError) -> HttpAnswer:
    extra = []
    if error.status == 401:
        # A Bearer challenge here would be merged by docker as a second error (PROTOCOLS 1.5).
        extra.append(("WWW-Authenticate", 'Basic realm="registry_ui"'))
    if error.status == 405:
        extra.append(("Allow", METHODS))
    if error.status == 429:
        extra.append(("Retry-After", str(getattr(error, "retry_after", 60))))
    body = orjson.dumps(oci_error(error.code, error.message, error.hint))
    return HttpAnswer(error.status, body, tuple(extra))


_WORDS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
