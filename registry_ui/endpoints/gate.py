"""Gate endpoint, which a reverse proxy asks before it forwards a request to the registry.

It works with nginx (auth_request), Traefik (forwardAuth), and Caddy (forward_auth).
"""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, request

from ..db.session import csrf
from ..errors import AppError, oci_error
from ..gate import service
from ..gate.request import read

blueprint = Blueprint("gate", __name__)
csrf.exempt(blueprint)

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@blueprint.route("/gate/manifest", methods=METHODS, provide_automatic_options=False)
def manifest() -> Response:
    """Return 204 if the proxy may forward a request to the registry, otherwise an error response.

    Traefik and Caddy pass the whole error response on to the client. nginx passes on only the
    status, so our nginx configuration takes the message from the header ``X-Gate-Message``, and
    builds the registry's error JSON around the message.
    """
    gate_request = read(request.headers)
    if gate_request is not None:
        service.authorize(gate_request, request.headers.get("Authorization", ""))
    return Response(status=204)


@blueprint.errorhandler(AppError)
def on_refusal(error: AppError) -> Response:
    """Return a refusal in the registry's JSON format for errors, which Docker shows to the user."""
    response = jsonify(oci_error(error.code, error.message, error.hint))
    response.status_code = error.status
    response.headers["X-Gate-Message"] = error.message
    if isinstance(error, service.Unauthenticated):
        response.headers["WWW-Authenticate"] = _make_challenge(error)
    return response


def _make_challenge(error: service.Unauthenticated) -> str:
    """Return the Bearer challenge that the registry would send, so the client gets a new token."""
    settings = current_app.config["SETTINGS"]
    parts = {"realm": settings.realm, "service": settings.token_service, "scope": error.scope}
    if error.problem:
        parts["error"] = error.problem
    return "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items())
