"""Health probes: liveness (``/healthz``) and readiness (``/readyz``)."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from ..health import health

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Report that this process is alive."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Report whether the database, the registry, and the worker respond.

    The status is 503 if one of them does not respond.
    """
    checks = {name: ok for name, ok, _ in health()}
    ready = all(checks.values())
    return jsonify(status="ready" if ready else "not ready", **checks), 200 if ready else 503
