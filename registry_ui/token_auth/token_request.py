"""Token requests by GET and POST: parameters in, response body out, independent of HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app
from werkzeug.datastructures import Authorization

from ..access import ANONYMOUS, AccessLookup, Principal
from ..accounts import docker_sessions
from ..accounts.authentication import Attempt, BadCredentials, authenticate, authenticate_session
from ..accounts.secrets import mask_secrets
from ..audit import Actor
from ..db.session import db
from ..errors import AppError, Unauthorized
from .authorize import answer, decide_all, places_of, record_decision
from .decision_log import DecisionRecord, decision_log
from .keyring import RotatingSigner
from .scope import Scope, parse_scopes
from .visitors import ACCOUNT, UNOWNED

#: Values that Go's ParseBool accepts as true, because most registry clients are written in Go.
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Caller:
    """The client that sent a token request: its IP address and User-Agent."""

    address: str
    user_agent: str

    @property
    def client(self) -> str:
        """The first word of the User-Agent, limited to 100 characters and printable ASCII."""
        name = self.user_agent.partition(" ")[0][:100]
        if name.isascii() and name.isprintable():
            return name
        return "".join(c for c in name if c.isprintable() and c.isascii())


def answer_query(
    asked: Caller, pairs: Pairs, header: str | None, given: Authorization | None
) -> dict[str, Any]:
    """Return the response body for a token request by GET (PROTOCOLS 1.2).

    Args:
        pairs: names and values of the query parameters.
        header: the Authorization header; None if there is none.
        given: the parsed Authorization header; None if it is missing or malformed.

    Raises:
        AppError: the request is not valid or the credentials are refused.
    """
    fields = dict(reversed(pairs))  # Reversed: the first value of each parameter counts.
    service = _checked_service(fields.get("service", ""))
    scopes, places = _wanted(pairs)
    principal = _by_header(asked, header, given, places)
    extra = {}
    if fields.get("offline_token") in TRUE:
        extra = _refresh_token(asked, principal, service, fields.get("client_id", ""))
    return _answer(asked, principal, scopes, places) | extra


def answer_form(asked: Caller, pairs: Pairs) -> dict[str, Any]:
    """Return the response body for an OAuth 2 token request by POST (PROTOCOLS 1.3).

    The grant type is ``password`` or ``refresh_token``.

    Args:
        pairs: names and values of the form fields.

    Raises:
        AppError: the request is not valid or the credentials are refused.
    """
    fields = dict(reversed(pairs))
    service = _checked_service(fields.get("service", ""))
    grant_type, access_type = fields.get("grant_type"), fields.get("access_type", "online")
    if not fields.get("client_id"):
        raise AppError("The form needs a client_id.")
    if access_type not in {"online", "offline"}:
        raise AppError("The access_type is online or offline.")
    scopes, places = _wanted(pairs)
    if grant_type == "refresh_token":
        secret = fields.get("refresh_token", "")
        principal = _by_refresh_token(asked, secret, service, places)
        return _answer(asked, principal, scopes, places) | {"refresh_token": secret}
    if grant_type != "password":
        raise AppError("The grant_type is password or refresh_token.")
    attempt = Attempt(
        fields.get("username", ""), fields.get("password", ""), asked.address, by_post=True
    )
    principal = _authenticated(asked, attempt, places)
    extra = {}
    if access_type == "offline":
        extra = _refresh_token(asked, principal, service, fields["client_id"])
    return _answer(asked, principal, scopes, places) | extra


def _signer() -> RotatingSigner:
    signer: RotatingSigner = current_app.extensions["signer"]
    return signer


def _checked_service(service: str) -> str:
    if service != _signer().service:
        raise AppError(f"This is not the token endpoint of the service “{service[:100]}”.")
    return service


def _wanted(pairs: Pairs) -> tuple[list[Scope], AccessLookup]:
    scopes = parse_scopes([value for name, value in pairs if name == "scope"])
    return scopes, places_of(scopes)


def _answer(
    asked: Caller, principal: Principal, scopes: list[Scope], places: AccessLookup
) -> dict[str, Any]:
    grants = decide_all(db.engine, principal, scopes, places)
    record_decision(decision_log(), principal, grants, asked.address, asked.client)
    return answer(_signer(), principal, grants)


def _by_header(
    asked: Caller, header: str | None, given: Authorization | None, places: AccessLookup
) -> Principal:
    """Return the principal of an Authorization header; ANONYMOUS if it has no credentials.

    Wrong credentials raise an error and never count as anonymous (PROTOCOLS 1.8).
    """
    if header is None:
        return ANONYMOUS
    if given is None or given.type != "basic":
        raise Unauthorized("Only Basic credentials are accepted here.")
    username, password = given.username or "", given.password or ""
    if not username and not password:
        # The OCI conformance suite sends ``Basic Og==`` if it has no credentials.
        return ANONYMOUS
    return _authenticated(asked, Attempt(username, password, asked.address), places)


def _authenticated(asked: Caller, attempt: Attempt, places: AccessLookup) -> Principal:
    settings = current_app.config["SETTINGS"]
    try:
        return authenticate(attempt, places, passwords=not settings.tokens_only)
    except AppError as error:
        _note_refusal(asked, attempt.username, "sign-in", error)
        raise


def _by_refresh_token(asked: Caller, secret: str, service: str, places: AccessLookup) -> Principal:
    settings = current_app.config["SETTINGS"]
    try:
        if not settings.docker_sessions:
            raise BadCredentials("Docker sessions are switched off. Sign in again.")
        return authenticate_session(secret, service, places, passwords=not settings.tokens_only)
    except AppError as error:
        username = error.username if isinstance(error, BadCredentials) else ""
        _note_refusal(asked, username, "docker session", error)
        raise


def _note_refusal(asked: Caller, username: str, credential: str, error: AppError) -> None:
    who = mask_secrets(username)[:150].replace("\x00", "").lower()
    # The error has a user name only if the secret was recognized. Without one, the user name is
    # unverified input, and the record must not count as one of an account.
    category = ACCOUNT if isinstance(error, BadCredentials) and error.username else UNOWNED
    what = ("", "", "", "", error.message)
    decision_log().note(
        DecisionRecord(who, credential, asked.address, asked.client, *what, category)
    )


def _refresh_token(
    asked: Caller, principal: Principal, service: str, client_id: str
) -> dict[str, str]:
    """Start a docker session for a user and return ``refresh_token`` for the response.

    Returns an empty dictionary if sessions are disabled, and for deploy tokens and anonymous
    clients. A deploy token needs no session, because it is already a secret for one program.
    """
    if not current_app.config["SETTINGS"].docker_sessions or principal.user_id is None:
        return {}
    secret = docker_sessions.begin(
        Actor(principal.username, asked.address),
        principal.user_id,
        principal.username,
        service,
        asked.client or client_id[:200],
        principal.token_id,
    )
    return {"refresh_token": secret}
