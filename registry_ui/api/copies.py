"""API endpoints for copies of tags: plan, confirm, show, and cancel a copy."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify

from ..access import Permission
from ..copies import service as copies
from ..copies.authorization import require
from ..copies.request import CopyForm, plan_copy_form
from ..db.session import db
from ..errors import Invalid
from ..http.identity import actor
from ..http.loaders import load, load_copy, load_copy_target, load_image
from ..jobs.queue import enqueue
from ..models import Copy
from . import blueprint
from .bodies import (
    EMPTY_BODY,
    MAX_LINES,
    STRING,
    Key,
    Schema,
    boolean,
    serialize_operation,
    string,
    strings,
)

COPY_URL = "/projects/<name:path>/-/copies/<int(max=2147483647):copy_id>"
PLAN = Schema(
    {
        "image": string(),
        "tags": strings(),
        "all": boolean(),
        "to_project": string(),
        "to_image": Key(STRING),
        "to_tag": string(),
        "attached": boolean(default=True),
    },
    conflicts={"all": ["tags"]},
)
CONFIRM = Schema({"overwrite": boolean()})


@blueprint.post("/projects/<name:path>/-/copies")
def plan_copy(path: str) -> tuple[Response, int]:
    """Plan a copy of tags of an image in this project; nothing is copied yet.

    The body selects the tags of ``image`` (name below the project; "" for the root image) with
    ``tags``, a list of names, or ``all``. The target is ``to_project``, ``to_image``, and, for a
    single tag, ``to_tag``, which default to those of the source. ``attached``, by default true,
    also copies signatures and other referrers.
    """
    load(path, Permission.PULL)
    body = PLAN.read()
    if not body["tags"] and not body["all"]:
        raise Invalid("Name the “tags”, or send “all”.")
    form = CopyForm(
        project=body["to_project"] or path,
        image=body["image"] if body["to_image"] is None else body["to_image"],
        tag=body["to_tag"],
        chosen=body["tags"],
        attached=body["attached"],
    )
    _, image = load_image(path, body["image"], Permission.PULL)
    target = load_copy_target(form.project)
    return jsonify(_serialize_copy(plan_copy_form(form, image, target, g.principal, actor()))), 201


@blueprint.get(COPY_URL)
def copy(path: str, copy_id: int) -> Response:
    """Return a copy operation with its plan, progress, and report."""
    row, _ = load_copy(path, copy_id)
    return jsonify(_serialize_copy(row))


@blueprint.post(COPY_URL + "/confirm")
def confirm_copy(path: str, copy_id: int) -> tuple[Response, int]:
    """Start a planned copy, exactly as planned.

    If ``overwrite`` in the body is true, tags that exist at the target are replaced.
    """
    row, _ = load_copy(path, copy_id)
    require(db.session(), g.principal, row.source, row.target)
    overwrite = CONFIRM.read()["overwrite"]
    started = copies.start_planned(actor(), row.id, overwrite=overwrite)
    enqueue("run_copy", started.id)
    return jsonify(_serialize_copy(started)), 202


@blueprint.post(COPY_URL + "/cancel")
def cancel_copy(path: str, copy_id: int) -> Response:
    """Stop a running copy before its next tag, or discard a planned copy."""
    row, _ = load_copy(path, copy_id)
    EMPTY_BODY.read()
    return jsonify(_serialize_copy(copies.cancel(actor(), row.id)))


def _serialize_copy(row: Copy) -> dict[str, Any]:
    location = {"project": row.project_path, "source": row.source}
    return serialize_operation(row, copies.lines_of(row, MAX_LINES)) | location
