"""API endpoints for moves, which rename or move a namespace, a project, or an image.

After the switchover to the new path, clients can pull from the old path for a grace period.
"""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify

from ..access import Permission
from ..http.identity import actor
from ..http.loaders import load, load_image, load_move, load_whole
from ..jobs.queue import enqueue
from ..models import Move
from ..moves import requests, unmoved_tags
from ..moves import service as moves
from . import blueprint
from .bodies import EMPTY_BODY, STRING, Key, Schema, boolean, string

MOVE_ID = "<int(max=2147483647):move_id>"
PLAN = Schema({"to": string(required=True), "image": Key(STRING, nullable=True)})
CONFIRMATION = Schema({"leave_out": boolean()})
RETIRE = Schema({"everything": boolean()})
OF_PROJECT, OF_NAMESPACE = "/projects/<name:path>/-/moves", "/namespaces/<name:path>/-/moves"


@blueprint.post(OF_PROJECT)
@blueprint.post(OF_NAMESPACE)
def plan_move(path: str) -> tuple[Response, int]:
    """Plan to rename or move a namespace, a project, or one of its images; nothing moves yet.

    The body contains the whole new path as ``to``. To move only an image, it also contains the
    name of the image below the project as ``image`` ("" for the root image).
    """
    load(path)
    body = PLAN.read()
    if body["image"] is None:
        loaded, image = load_whole(path, Permission.REMOVE), None
    else:
        loaded, image = load_image(path, body["image"], Permission.DELETE)
    role = loaded.acting_role
    target = body["to"].strip("/")
    move_request = requests.MoveRequest(loaded.place, image, target, role)
    move = requests.plan(actor(), g.principal, move_request)
    return jsonify(_serialize_move(move)), 201


@blueprint.get(f"{OF_PROJECT}/{MOVE_ID}")
@blueprint.get(f"{OF_NAMESPACE}/{MOVE_ID}")
def move(path: str, move_id: int) -> Response:
    """Return a move with its plan, its progress, and the state of the old path.

    ``unmoved`` lists the first few tags that could not be copied and stay at the old path.
    """
    return jsonify(_serialize_move(load_move(path, move_id)[0]))


@blueprint.post(f"{OF_PROJECT}/{MOVE_ID}/<any(confirm, retry):action>")
@blueprint.post(f"{OF_NAMESPACE}/{MOVE_ID}/<any(confirm, retry):action>")
def go_on(path: str, move_id: int, action: str) -> tuple[Response, int]:
    """Start a planned move (``confirm``), or resume a failed one (``retry``).

    If the plan lists tags that can't be read (``unread``), the confirmation must set
    ``leave_out`` to true.
    """
    row, _ = load_move(path, move_id)
    requests.require_rights(g.principal, row)
    if action == "confirm":
        leave_out = CONFIRMATION.read()["leave_out"]
        updated = moves.confirm(actor(), row.id, leave_out=leave_out)
    else:
        EMPTY_BODY.read()
        updated = moves.retry(actor(), row.id)
    enqueue("run_move", updated.id)
    return jsonify(_serialize_move(updated)), 202


@blueprint.post(f"{OF_PROJECT}/{MOVE_ID}/cancel")
@blueprint.post(f"{OF_NAMESPACE}/{MOVE_ID}/cancel")
def cancel_move(path: str, move_id: int) -> Response:
    """Cancel a move before its switchover to the new path, or discard a planned move."""
    row, _ = load_move(path, move_id)
    EMPTY_BODY.read()
    updated = moves.cancel(actor(), row.id)
    enqueue("run_move", updated.id)
    return jsonify(_serialize_move(updated))


@blueprint.post(f"{OF_PROJECT}/{MOVE_ID}/retire")
@blueprint.post(f"{OF_NAMESPACE}/{MOVE_ID}/retire")
def retire_move(path: str, move_id: int) -> tuple[Response, int]:
    """Delete the old path of a move now, before its grace period ends.

    If ``everything`` in the body is true, tags and manifests that the new path does not have are
    deleted, too.
    """
    row, _ = load_move(path, move_id)
    updated = moves.retire_now(actor(), row.id, everything=RETIRE.read()["everything"])
    enqueue("run_move", updated.id)
    return jsonify(_serialize_move(updated)), 202


@blueprint.post(f"{OF_PROJECT}/{MOVE_ID}/keep")
@blueprint.post(f"{OF_NAMESPACE}/{MOVE_ID}/keep")
def keep_move(path: str, move_id: int) -> Response:
    """Extend the grace period during which clients can pull from the old path of a move."""
    row, _ = load_move(path, move_id)
    EMPTY_BODY.read()
    return jsonify(_serialize_move(moves.extend_grace_period(actor(), row.id)))


def _serialize_move(row: Move) -> dict[str, Any]:
    columns = ("created_at", "switched_at", "grace_until", "finished_at")
    return {
        "id": row.id,
        "kind": row.kind,
        "from": row.source,
        "to": row.target,
        "state": row.state,
        "problem": row.problem,
        "requested_by": row.requested_by,
        **{name: at.isoformat() if (at := getattr(row, name)) else None for name in columns},
        "plan": requests.plan_for(g.principal, row),
        "images": [
            {
                "from": repository.source,
                "to": repository.target,
                "tags": repository.tag_count,
                "state": repository.state,
                "detail": repository.detail,
            }
            for repository in moves.repositories_of(row)
        ],
        "unmoved_count": unmoved_tags.count_unmoved(row),
        "unmoved": [
            {"reference": reference, "reason": reason}
            for reference, reason in unmoved_tags.list_unmoved(row)
        ],
    }
