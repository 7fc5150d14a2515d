"""The published keys. The endpoint itself is door.py."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from ..token_auth.keyring import RotatingSigner

blueprint = Blueprint("token_auth", __name__)


@blueprint.get("/jwt/jwks.json")
def jwks() -> Response:
    """Publish the public keys, for Distribution 3.x's ``jwks`` and for gates."""
    signer: RotatingSigner = current_app.extensions["signer"]
    return jsonify(signer.ring.jwks())
