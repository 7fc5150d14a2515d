"""Pages about the site itself: alive, ready, and who may do what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from ..access import RULE_OF, RULES, Role
from ..db.session import csrf, db, release
from ..distribution.errors import RegistryError
from ..errors import AppError, error_response
from ..jobs.queue import redis_problem
from ..jobs.tasks import HEARTBEAT_SECONDS, WORKER
from ..models import Heartbeat, RegistryEvent, utc_now
from ..registry_connection import registry

blueprint = Blueprint("site", __name__)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

#: An event that waits longer than this waits for a worker that does not come.
EVENTS_WAIT = timedelta(seconds=60)


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


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that this process answers."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say whether database, registry and worker answer; 503 where one does not."""
    checks = {name: ok for name, ok, _ in health()}
    ready = all(checks.values())
    return jsonify(status="ready" if ready else "not ready", **checks), 200 if ready else 503


def health() -> list[tuple[str, bool, str]]:
    """Return (name, whether it answers, detail) of database, registry and worker."""
    return [
        ("database", *_database()),
        ("registry", *_registry()),
        ("worker", *_worker()),
    ]


def queue_health() -> list[tuple[str, bool, str]]:
    """Return the same of the job queue; nothing if it is a file of the worker."""
    if current_app.config["SETTINGS"].redis_url is None:
        return []
    release_quietly()
    problem = redis_problem(current_app.extensions["huey"])
    if problem is None:
        return [("job queue", True, "Redis answers")]
    detail = f"Redis does not answer ({problem}). Work is stored, and starts when it answers again"
    return [("job queue", False, detail)]


def _database() -> tuple[bool, str]:
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return False, type(error).__name__
    return True, db.engine.dialect.name


def _registry() -> tuple[bool, str]:
    release_quietly()
    try:
        version = registry().ping()
    except RegistryError as error:
        return False, str(error)
    return True, version


def _worker() -> tuple[bool, str]:
    try:
        at = db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == WORKER))
        oldest = db.session.scalar(
            select(RegistryEvent.received_at)
            .where(RegistryEvent.status == "pending")
            .order_by(RegistryEvent.id)
            .limit(1)
        )
    except SQLAlchemyError:
        db.session.rollback()
        return False, "unknown: the database does not answer"
    if at is None:
        return False, "has never run"
    age = utc_now() - at
    if age > timedelta(seconds=4 * HEARTBEAT_SECONDS):
        return False, f"gave no sign of life for {int(age.total_seconds())} seconds"
    if oldest is not None and utc_now() - oldest > EVENTS_WAIT:
        waits = int((utc_now() - oldest).total_seconds())
        return False, f"lives, but an event has waited for {waits} seconds"
    return True, f"last seen {int(age.total_seconds())} seconds ago"


def release_quietly() -> None:
    """End the reading transaction, if the database answers at all."""
    try:
        release()
    except SQLAlchemyError:
        db.session.rollback()


@blueprint.get("/-/help/roles")
def roles() -> str:
    """Print the table that decides."""
    rights: list[dict[str, Any]] = [
        {
            "label": str(rule.right).replace("_", " ").capitalize(),
            "description": rule.description,
            "role": rule.minimum.label,
            "minimum": rule.minimum.label,
            "value": int(rule.minimum),
            "note": "Anyone, in a public project; any signed-in user, in an internal one"
            if rule.by_visibility
            else "",
        }
        for rule in RULES
    ]
    choices = [(int(role), role.label) for role in Role]
    return render_template("roles.html", roles=choices, rights=rights, rule_of=RULE_OF)
