"""Handling of token requests by GET and POST: from the parameters to the response body."""

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
from .authorize import answer, decide_all, lookup_from_scopes, record_decision
from .decision_log import DecisionRecord, decision_log
from .keyring import RotatingSigner
from .scope import Scope, parse_scopes
from .visitors import ACCOUNT, UNOWNED

#: Values that Go's ParseBool accepts as true, because most registry clients are written in Go.
TRUE_VALUES = frozenset({"1", "t", "T", "TRUE", "true", "True"})

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
    caller: Caller, pairs: Pairs, header: str | None, authorization: Authorization | None
) -> dict[str, Any]:
    """Return the response body for a token request by GET (PROTOCOLS 1.2).

    Args:
        pairs: names and values of the query parameters.
        header: the Authorization header; None if there is none.
        authorization: the parsed Authorization header; None if it is missing or malformed.

    Raises:
        AppError: the request is not valid or the credentials are refused.
    """
    fields = dict(reversed(pairs))  # Reversed: the first value of each parameter counts.
    service = _validate_service(fields.get("service", ""))
    scopes, lookup = _read_scopes(pairs)
    principal = _authenticate_header(caller, header, authorization, lookup)
    session_fields: dict[str, str] = {}
    if fields.get("offline_token") in TRUE_VALUES:
        session_fields = _begin_session(caller, principal, service, fields.get("client_id", ""))
    return _answer(caller, principal, scopes, lookup) | session_fields


def answer_form(caller: Caller, pairs: Pairs) -> dict[str, Any]:
    """Return the response body for an OAuth 2 token request by POST (PROTOCOLS 1.3).

    The grant type is ``password`` or ``refresh_token``.

    Args:
        pairs: names and values of the form fields.

    Raises:
        AppError: the request is not valid or the credentials are refused.
    """
    fields = dict(reversed(pairs))
    service = _validate_service(fields.get("service", ""))
    grant_type, access_type = fields.get("grant_type"), fields.get("access_type", "online")
    if not fields.get("client_id"):
        raise AppError("The form needs a client_id.")
    if access_type not in {"online", "offline"}:
        raise AppError("The access_type is online or offline.")
    scopes, lookup = _read_scopes(pairs)
    if grant_type == "refresh_token":
        secret = fields.get("refresh_token", "")
        principal = _authenticate_refresh_token(caller, secret, service, lookup)
        return _answer(caller, principal, scopes, lookup) | {"refresh_token": secret}
    if grant_type != "password":
        raise AppError("The grant_type is password or refresh_token.")
    attempt = Attempt(
        fields.get("username", ""), fields.get("password", ""), caller.address, by_post=True
    )
    principal = _authenticate_attempt(caller, attempt, lookup)
    session_fields: dict[str, str] = {}
    if access_type == "offline":
        session_fields = _begin_session(caller, principal, service, fields["client_id"])
    return _answer(caller, principal, scopes, lookup) | session_fields


def _signer() -> RotatingSigner:
    signer: RotatingSigner = current_app.extensions["signer"]
    return signer


def _validate_service(service: str) -> str:
    if service != _signer().service:
        raise AppError(f"This is not the token endpoint of the service “{service[:100]}”.")
    return service


def _read_scopes(pairs: Pairs) -> tuple[list[Scope], AccessLookup]:
    scopes = parse_scopes([value for name, value in pairs if name == "scope"])
    return scopes, lookup_from_scopes(scopes)


def _answer(
    caller: Caller, principal: Principal, scopes: list[Scope], lookup: AccessLookup
) -> dict[str, Any]:
    grants = decide_all(db.engine, principal, scopes, lookup)
    record_decision(decision_log(), principal, grants, caller.address, caller.client)
    return answer(_signer(), principal, grants)


def _authenticate_header(
    caller: Caller, header: str | None, authorization: Authorization | None, lookup: AccessLookup
) -> Principal:
    """Return the principal of an Authorization header; ANONYMOUS if it has no credentials.

    Wrong credentials raise an error and never count as anonymous (PROTOCOLS 1.8).
    """
    if header is None:
        return ANONYMOUS
    if authorization is None or authorization.type != "basic":
        raise Unauthorized("Only Basic credentials are accepted here.")
    username, password = authorization.username or "", authorization.password or ""
    if not username and not password:
        # Empty credentials count as none: the OCI conformance suite sends them (``Basic Og==``, an
        # empty user name and password) if it has none.
        return ANONYMOUS
    return _authenticate_attempt(caller, Attempt(username, password, caller.address), lookup)


def _authenticate_attempt(caller: Caller, attempt: Attempt, lookup: AccessLookup) -> Principal:
    settings = current_app.config["SETTINGS"]
    try:
        return authenticate(attempt, lookup, passwords=not settings.tokens_only)
    except AppError as error:
        _record_refusal(caller, attempt.username, "sign-in", error)
        raise


def _authenticate_refresh_token(
    caller: Caller, secret: str, service: str, lookup: AccessLookup
) -> Principal:
    settings = current_app.config["SETTINGS"]
    try:
        if not settings.docker_sessions:
            raise BadCredentials("Docker sessions are switched off. Sign in again.")
        return authenticate_session(secret, service, lookup, passwords=not settings.tokens_only)
    except AppError as error:
        username = error.username if isinstance(error, BadCredentials) else ""
        _record_refusal(caller, username, "docker session", error)
        raise


def _record_refusal(caller: Caller, username: str, credential: str, error: AppError) -> None:
    # The error has a user name only if the secret was recognized. Otherwise, the user name is
    # unverified input, and the record must not count as one about an account.
    category = ACCOUNT if isinstance(error, BadCredentials) and error.username else UNOWNED
    decision_log().record(
        DecisionRecord(
            username=mask_secrets(username)[:150].replace("\x00", "").lower(),
            credential=credential,
            address=caller.address,
            client=caller.client,
            rule=error.message,
            category=category,
        )
    )


def _begin_session(
    caller: Caller, principal: Principal, service: str, client_id: str
) -> dict[str, str]:
    """Start a docker session for a user and return ``refresh_token`` for the response.

    Returns an empty dictionary if sessions are disabled, and for deploy tokens and anonymous
    clients. A deploy token needs no session, because it is already a secret for one program.
    """
    if not current_app.config["SETTINGS"].docker_sessions or principal.user_id is None:
        return {}
    actor = Actor(principal.username, caller.address)
    client = caller.client or client_id[:200]
    secret = docker_sessions.begin(actor, principal, service, client)
    return {"refresh_token": secret}
