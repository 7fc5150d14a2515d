"""API endpoints for garbage collection. Only administrators can use them; others get NotFound."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify

from ..access import Permission
from ..errors import NotFound
from ..garbage_collection import service as garbage_collection
from ..http.identity import actor
from ..jobs.queue import enqueue
from ..models import GarbageCollection
from . import blueprint
from .bodies import NOTHING, Schema, boolean

ALL = "/registry/garbage-collections"
ONE = ALL + "/<int(max=2147483647):collection_id>"
BEGIN = Schema({"dry_run": boolean(required=True)})


def _require_administrator() -> None:
    """Raise NotFound unless the caller is an administrator with an unrestricted credential.

    An access token must not be restricted to a path, and needs the scope ``api``.
    """
    who = g.principal
    if not who.is_admin or who.reach is not None or not who.lets_through(Permission.ADMINISTER):
        raise NotFound


@blueprint.get(ALL)
def list_collections() -> Response:
    """List the latest garbage collections, newest first."""
    _require_administrator()
    return jsonify(garbage_collections=[_collection(row) for row in garbage_collection.latest()])


@blueprint.post(ALL)
def begin_collection() -> tuple[Response, int]:
    """Start a garbage collection, or a dry run if ``dry_run`` in the body is true."""
    _require_administrator()
    row = garbage_collection.begin(actor(), dry_run=BEGIN.read()["dry_run"])
    enqueue("run_collection", row.id)
    return jsonify(_collection(garbage_collection.one(row.id))), 201


@blueprint.get(ONE)
def show_collection(collection_id: int) -> Response:
    """Return one garbage collection, with the output of the collector."""
    _require_administrator()
    row = garbage_collection.one(collection_id)
    return jsonify({**_collection(row), "output": row.output})


@blueprint.post(ONE + "/cancel")
def cancel_collection(collection_id: int) -> Response:
    """Cancel a garbage collection."""
    _require_administrator()
    NOTHING.read()
    row = garbage_collection.cancel(actor(), collection_id)
    enqueue("resume_stored_work")
    return jsonify(_collection(row))


def _collection(row: GarbageCollection) -> dict[str, Any]:
    moments = ("created_at", "quiet_at", "collector_started_at", "finished_at")
    values = {name: getattr(row, name) for name in moments}
    return {
        "id": row.id,
        "dry_run": row.dry_run,
        "state": row.state,
        "requested_by": row.requested_by,
        **{name: at.isoformat() if at else None for name, at in values.items()},
        "manifests_in_use": row.marked,
        "blobs": row.blobs,
        "bytes": row.freed,
        "blobs_of_unknown_size": row.unmeasured,
        "problem": row.problem,
    }
