"""Tells clients of the registry that ask these pages where the registry is."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from ..db.session import csrf
from ..errors import AppError
from ..http.error_handlers import error_response

blueprint = Blueprint("registry_address", __name__)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class NotTheRegistry(AppError):
    """A registry client asked the pages: the registry has another address.

    400, because docker prints these words as they are; to a 404 it adds that the repository
    does not exist.
    """

    def __init__(self) -> None:
        host = current_app.config["SETTINGS"].registry_host
        super().__init__(f"this is the web site, the registry is at {host}")


@blueprint.route("/v2/", defaults={"rest": ""}, methods=METHODS)
@blueprint.route("/v2/<path:rest>", methods=METHODS)
@csrf.exempt
def registry_api(rest: str) -> Response:  # noqa: ARG001 - whatever is asked for
    """Tell a client of the registry where that is, in the form that it understands."""
    error = NotTheRegistry()
    answer = error_response(error.status, error.code, error.message)
    answer.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
    return answer
