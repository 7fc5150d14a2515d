"""The realm of the registry: GET /jwt/auth, its alias, and the published keys."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, current_app, jsonify, request

from ..access import ANONYMOUS, Principal
from ..accounts.authentication import authenticate
from ..errors import AppError, Unauthorized
from ..extensions import csrf, db
from .scope import parse_scopes
from .service import answer, grant
from .signer import Signer

logger = logging.getLogger(__name__)
blueprint = Blueprint("token_auth", __name__)
csrf.exempt(blueprint)

BAD_CREDENTIALS = "The user name, password or access token is wrong."


@blueprint.get("/jwt/auth")
@blueprint.get("/auth/token")  # where the registry's autoredirect sends clients
def token() -> Response:
    """Answer a client with a bearer token for what it asks and may have.

    Identity comes from the Authorization header only: ``account`` is a hint, and no
    cookie is read (PROTOCOLS 6.2, 6.10).
    """
    signer: Signer = current_app.extensions["signer"]
    service = request.args.get("service", "")
    if service != signer.service:
        raise AppError(f"This is not the token endpoint of the service “{service[:100]}”.")
    principal = _principal()
    access, refusals = grant(db.session(), principal, parse_scopes(request.args.getlist("scope")))
    for refusal in refusals:
        logger.info(
            "refused %s on %s to %r: %s",
            refusal.action,
            refusal.name,
            principal.username,
            refusal.rule,
        )
    response = jsonify(answer(signer, principal, access))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/jwt/jwks.json")
def jwks() -> Response:
    """Publish the public keys, for Distribution 3.x's ``jwks`` and for gates."""
    signer: Signer = current_app.extensions["signer"]
    return jsonify(signer.jwks())


def _principal() -> Principal:
    """Return who asks. Wrong credentials are never taken for none (PROTOCOLS 1.8)."""
    if "Authorization" not in request.headers:
        return ANONYMOUS
    given = request.authorization
    if given is None or given.type != "basic":
        raise Unauthorized("Only Basic credentials are accepted here.")
    username, password = given.username or "", given.password or ""
    if not username and not password:
        return ANONYMOUS  # the OCI conformance suite always sends ``Basic Og==``
    principal = authenticate(username, password, request.remote_addr or "")
    if principal is None:
        raise Unauthorized(BAD_CREDENTIALS)
    return principal
