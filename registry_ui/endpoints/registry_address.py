"""Error responses for registry clients that use this site's address instead of the registry's."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from ..db.session import csrf
from ..errors import AppError
from ..http.error_handlers import ErrorContent, error_response

blueprint = Blueprint("registry_address", __name__)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class NotTheRegistry(AppError):
    """Error for a registry client that used the address of this site instead of the registry's.

    The status is 400, because Docker prints the message of a 400 response unchanged. Docker adds
    to the message of a 404 response that the repository does not exist.
    """

    def __init__(self) -> None:
        host = current_app.config["SETTINGS"].registry_host
        super().__init__(f"this is the web site, the registry is at {host}")


@blueprint.route("/v2/", defaults={"rest": ""}, methods=METHODS)
@blueprint.route("/v2/<path:rest>", methods=METHODS)
@csrf.exempt
def registry_api(rest: str) -> Response:  # noqa: ARG001 - the answer is always the same
    """Return an OCI error with the address of the registry, for any request to ``/v2/``."""
    error = NotTheRegistry()
    response = error_response(ErrorContent.from_error(error))
    response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
    return response
