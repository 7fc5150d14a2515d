"""Authentication of API requests: by the Authorization header, never by a session cookie."""

from __future__ import annotations

from flask import current_app, g, request

from ..access import ANONYMOUS, Permission, Principal
from ..accounts.authentication import Attempt, authenticate, authenticate_token
from ..accounts.basic_credentials import read_authorization
from ..errors import Denied, Unauthorized
from . import blueprint

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@blueprint.before_request
def identify() -> None:
    """Identify the caller from the credentials of the request, and store them as ``g.principal``.

    The body of a request that can change data is read before the credentials are checked.
    Otherwise a client that is blocked after the check could still complete a request it has begun.

    Raises:
        Unauthorized: the credentials are malformed, wrong, or of a type that is not accepted.
        Denied: the access token has no scope that permits reading.
    """
    if request.method not in SAFE_METHODS:
        request.get_data()
    g.principal = _authenticate_request()
    if not g.principal.lets_through(Permission.SEE):
        raise Denied("The access token has no scope that reads.", hint="It needs read_registry.")


def _authenticate_request() -> Principal:
    if "Authorization" not in request.headers:
        return ANONYMOUS
    credentials = read_authorization(request.headers["Authorization"])
    address = request.remote_addr or ""
    if credentials is not None and credentials.type == "basic":
        attempt = Attempt(credentials.username or "", credentials.password or "", address)
        # With ``tokens_only``, account passwords work only on the pages, so programs need a token.
        return authenticate(attempt, passwords=not current_app.config["SETTINGS"].tokens_only)
    if credentials is not None and credentials.type == "bearer":
        return authenticate_token(credentials.token or "")
    raise Unauthorized("The credentials are wrong.")
