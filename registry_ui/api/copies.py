"""Copies by programs: a plan first, then its confirmation, then how far it is."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify, request

from ..access import Right
from ..catalog.copying import copies
from ..catalog.copying.rights import require
from ..catalog.work import outcomes_of
from ..errors import Invalid
from ..extensions import db
from ..jobs import enqueue
from ..models import Copy
from ..registry.copy_wishes import Asked, plan_asked
from ..security import actor, load, load_copy
from .collections import blueprint

ONE = "/projects/<name:path>/-/copies/<int(max=2147483647):copy_id>"
#: So many lines of a report are in one answer.
LINES = 1000


@blueprint.post("/projects/<name:path>/-/copies")
def plan_copy(path: str) -> tuple[Response, int]:
    """Plan a copy of tags of an image of this project; nothing is copied yet.

    The body: ``image`` (below the project, "" for the root image), ``tags`` or ``all``;
    ``to_project``, ``to_image`` and, for a single tag, ``to_tag``, each as the source's
    where it is missing; ``attached``, true where it is missing.
    """
    load(path, Right.PULL)
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Invalid("The body is no JSON object.")
    name = _text(body, "image", "")
    asked = Asked(
        project=_text(body, "to_project", path),
        image=_text(body, "to_image", name),
        tag=_text(body, "to_tag", ""),
        chosen=_chosen(body),
        attached=body.get("attached", True) is True,
    )
    return jsonify(_copy(plan_asked(path, name, asked, actor()))), 201


def _text(body: dict[str, Any], key: str, default: str) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise Invalid(f"“{key}” is a text.")
    return value


def _chosen(body: dict[str, Any]) -> list[str]:
    tags = body.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Invalid("“tags” is a list of tags.")
    if bool(tags) == (body.get("all") is True):
        raise Invalid("Say which tags: by “tags”, or “all”.")
    return tags


@blueprint.get(ONE)
def copy(path: str, copy_id: int) -> Response:
    """Return a copy: its plan, how far it is, its report."""
    row, _ = load_copy(path, copy_id)
    return jsonify(_copy(row))


@blueprint.post(ONE + "/confirm")
def confirm_copy(path: str, copy_id: int) -> tuple[Response, int]:
    """Carry out a plan: that one, and nothing else. The body may say ``overwrite``."""
    row, _ = load_copy(path, copy_id)
    require(db.session(), g.principal, row.source, row.target)
    body = request.get_json(silent=True)
    overwrite = isinstance(body, dict) and body.get("overwrite") is True
    started = copies.start_planned(actor(), row.id, overwrite=overwrite)
    enqueue("run_copy", started.id)
    return jsonify(_copy(started)), 202


@blueprint.post(ONE + "/cancel")
def cancel_copy(path: str, copy_id: int) -> Response:
    """Stop a copy before its next tag, or discard a plan."""
    row, _ = load_copy(path, copy_id)
    return jsonify(_copy(copies.cancel(actor(), row.id)))


def _copy(row: Copy) -> dict[str, Any]:
    return {
        "id": row.id,
        "project": row.project_path,
        "kind": row.kind,
        "source": row.source,
        "target": row.target,
        "state": row.state,
        "requested_by": row.requested_by,
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "done": row.done,
        "total": row.total,
        "plan": row.preview,
        "outcomes": outcomes_of(row),
        "report": [
            {"reference": line.reference, "outcome": line.outcome, "detail": line.detail}
            for line in copies.lines_of(row, LINES)
        ],
    }
