"""Copies by programs: a plan first, then its confirmation, then how far it is."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify

from ..access import Right
from ..catalog.copying import copies
from ..catalog.copying.rights import require
from ..errors import Invalid
from ..extensions import db
from ..jobs import enqueue
from ..models import Copy
from ..registry.copy_wishes import Asked, plan_asked
from ..security import actor, load, load_copy
from .bodies import LINES, is_set, json_object, text, work_told
from .collections import blueprint

ONE = "/projects/<name:path>/-/copies/<int(max=2147483647):copy_id>"


@blueprint.post("/projects/<name:path>/-/copies")
def plan_copy(path: str) -> tuple[Response, int]:
    """Plan a copy of tags of an image of this project; nothing is copied yet.

    The body: ``image`` (below the project, "" for the root image), ``tags`` or ``all``;
    ``to_project``, ``to_image`` and, for a single tag, ``to_tag``, each as the source's
    where it is missing; ``attached``, true where it is missing.
    """
    load(path, Right.PULL)
    body = json_object()
    name = text(body, "image", "")
    asked = Asked(
        project=text(body, "to_project", path),
        image=text(body, "to_image", name),
        tag=text(body, "to_tag", ""),
        chosen=_chosen(body),
        attached=body.get("attached", True) is True,
    )
    return jsonify(_copy(plan_asked(path, name, asked, actor()))), 201


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
    started = copies.start_planned(actor(), row.id, overwrite=is_set("overwrite"))
    enqueue("run_copy", started.id)
    return jsonify(_copy(started)), 202


@blueprint.post(ONE + "/cancel")
def cancel_copy(path: str, copy_id: int) -> Response:
    """Stop a copy before its next tag, or discard a plan."""
    row, _ = load_copy(path, copy_id)
    return jsonify(_copy(copies.cancel(actor(), row.id)))


def _copy(row: Copy) -> dict[str, Any]:
    ends = {"project": row.project_path, "source": row.source}
    return work_told(row, copies.lines_of(row, LINES)) | ends
