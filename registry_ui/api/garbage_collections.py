"""API endpoints for garbage collections of the registry, which only administrators can use."""

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
from .bodies import EMPTY_BODY, Schema, boolean

COLLECTIONS_URL = "/registry/garbage-collections"
COLLECTION_URL = COLLECTIONS_URL + "/<int(max=2147483647):collection_id>"
BEGIN = Schema({"dry_run": boolean(required=True)})


def _require_administrator() -> None:
    """Raise NotFound unless the caller is an administrator with unrestricted credentials.

    An access token must not be restricted to a path, and needs the scope ``api``.
    """
    caller = g.principal
    if (
        not caller.is_admin
        or caller.restriction is not None
        or not caller.lets_through(Permission.ADMINISTER)
    ):
        raise NotFound


@blueprint.get(COLLECTIONS_URL)
def list_collections() -> Response:
    """List the latest garbage collections, newest first."""
    _require_administrator()
    return jsonify(
        garbage_collections=[_serialize_collection(row) for row in garbage_collection.latest()]
    )


@blueprint.post(COLLECTIONS_URL)
def begin_collection() -> tuple[Response, int]:
    """Start a garbage collection, or only a dry run if ``dry_run`` in the body is true."""
    _require_administrator()
    row = garbage_collection.begin(actor(), dry_run=BEGIN.read()["dry_run"])
    enqueue("run_collection", row.id)
    return jsonify(_serialize_collection(garbage_collection.one(row.id))), 201


@blueprint.get(COLLECTION_URL)
def show_collection(collection_id: int) -> Response:
    """Return one garbage collection, with the output of the registry's garbage collector."""
    _require_administrator()
    row = garbage_collection.one(collection_id)
    return jsonify({**_serialize_collection(row), "output": row.output})


@blueprint.post(COLLECTION_URL + "/cancel")
def cancel_collection(collection_id: int) -> Response:
    """Cancel a garbage collection that has not ended, and return it."""
    _require_administrator()
    EMPTY_BODY.read()
    row = garbage_collection.cancel(actor(), collection_id)
    enqueue("resume_stored_work")
    return jsonify(_serialize_collection(row))


def _serialize_collection(row: GarbageCollection) -> dict[str, Any]:
    columns = ("created_at", "quiet_at", "collector_started_at", "finished_at")
    values = {name: getattr(row, name) for name in columns}
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
