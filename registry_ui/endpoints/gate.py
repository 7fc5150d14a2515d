"""Gate endpoint for nginx (auth_request), Traefik (forwardAuth) and Caddy (forward_auth)."""

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
    """Return 204 if the proxy can pass a request to the registry, otherwise an error that says why.

    Traefik and Caddy pass the whole response on to the client. nginx passes on only the status,
    so its configuration takes the message from the header ``X-Gate-Message``, and builds the
    registry's error JSON around it.
    """
    asked = read(request.headers)
    if asked is not None:
        service.authorize(asked, request.headers.get("Authorization", ""))
    return Response(status=204)


@blueprint.errorhandler(AppError)
def on_refusal(error: AppError) -> Response:
    """Return a refusal as the registry's own error JSON, so that docker prints its message."""
    answer = jsonify(oci_error(error.code, error.message, error.hint))
    answer.status_code = error.status
    answer.headers["X-Gate-Message"] = error.message
    if isinstance(error, service.Unauthenticated):
        answer.headers["WWW-Authenticate"] = _challenge(error)
    return answer


def _challenge(error: service.Unauthenticated) -> str:
    """Return the Bearer challenge that the registry would send, so the client gets a new token."""
    settings = current_app.config["SETTINGS"]
    parts = {"realm": settings.realm, "service": settings.token_service, "scope": error.scope}
    if error.problem:
        parts["error"] = error.problem
    return "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items())
