"""JWKS endpoint: the public keys that verify tokens (issued by ``token_auth/endpoint.py``)."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from ..token_auth.keyring import RotatingSigner

blueprint = Blueprint("token_auth", __name__)


@blueprint.get("/jwt/jwks.json")
def jwks() -> Response:
    """Return the public keys as a JWK set, for the setting ``jwks`` of Distribution 3.x."""
    signer: RotatingSigner = current_app.extensions["signer"]
    return jsonify(signer.ring.jwks())
