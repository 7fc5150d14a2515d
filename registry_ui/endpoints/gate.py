"""The gate's one address, for nginx (auth_request), Traefik (forwardAuth), Caddy (forward_auth)."""

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
    """Answer 204 for what may pass, and otherwise why not.

    Traefik and Caddy hand the whole answer to the client. nginx hands on a status alone:
    it takes the words from a header, and writes the registry's error form around them.
    """
    asked = read(request.headers)
    if asked is not None:
        service.authorize(asked, request.headers.get("Authorization", ""))
    return Response(status=204)


@blueprint.errorhandler(AppError)
def on_refusal(error: AppError) -> Response:
    """Answer in the registry's own form, so that docker prints the words."""
    answer = jsonify(oci_error(error.code, error.message, error.hint))
    answer.status_code = error.status
    answer.headers["X-Gate-Message"] = error.message
    if isinstance(error, service.Unauthenticated):
        answer.headers["WWW-Authenticate"] = _challenge(error)
    return answer


def _challenge(error: service.Unauthenticated) -> str:
    """Return what the registry itself would ask for: clients get another token by it."""
    settings = current_app.config["SETTINGS"]
    parts = {"realm": settings.realm, "service": settings.token_service, "scope": error.scope}
    if error.problem:
        parts["error"] = error.problem
    return "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items())
