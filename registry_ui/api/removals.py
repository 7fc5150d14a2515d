"""Removal by programs: a plan first, then its confirmation, then how far it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, jsonify, request

from ..access import Right
from ..catalog import bin as bin_of_tags
from ..catalog import removals
from ..catalog.choosing import Criteria, choose, days
from ..catalog.deletion import plan_image, plan_tags
from ..catalog.patterns import Pattern
from ..catalog.starting import keep_plan, start_planned
from ..catalog.work import outcomes_of
from ..errors import Invalid, NotFound
from ..jobs import enqueue
from ..models import ContainerImage, Removal
from ..security import actor, load, load_image, load_removal
from .routes import blueprint

ONE = "/projects/<name:path>/-/removals/<int(max=2147483647):removal_id>"
#: So many lines of a report are in one answer.
LINES = 1000


@blueprint.post("/projects/<name:path>/-/removals")
def plan_removal(path: str) -> tuple[Response, int]:
    """Plan a removal of tags of an image, or of the image; nothing is deleted yet.

    The body: ``image`` (below the project, "" for the root image), and ``tags``, ``pattern``
    (with ``kind``), ``older_than_days``, or ``all``; ``attached`` and ``for_good``.
    """
    load(path, Right.DELETE)
    asked = _body()
    name = asked.get("image", "")
    if not isinstance(name, str) or not name.isprintable():  # half a character is none to ask for
        raise Invalid("“image” is the name of an image below the project.")
    loaded, image = load_image(path, name, Right.DELETE)
    bin_days = 0 if asked.get("for_good") is True else bin_of_tags.days()
    if asked.get("all") is True:
        plan = plan_image(image, bin_days=bin_days, role=loaded.acting_role)
    else:
        chosen = [(image, _names(image, asked))]
        attached = asked.get("attached") is True
        plan = plan_tags(
            "tags",
            image.path,
            chosen,
            attached=attached,
            bin_days=bin_days,
            role=loaded.acting_role,
        )
    removal = keep_plan(actor(), plan, loaded.project)
    return jsonify(_removal(removal)), 201


def _body() -> dict[str, Any]:
    """Return what was sent.

    Raises:
        Invalid: it is no JSON object.
    """
    try:
        asked = request.get_json(silent=True)
    except RecursionError:
        asked = None
    if not isinstance(asked, dict):
        raise Invalid("The body is no JSON object.")
    return asked


def _names(image: ContainerImage, asked: dict[str, Any]) -> set[str]:
    """Return the tags that the body speaks of.

    Raises:
        Invalid: it speaks of none, or can't be read.
    """
    tags, pattern, kind = asked.get("tags", []), asked.get("pattern", ""), asked.get("kind", "glob")
    texts = isinstance(tags, list) and all(isinstance(tag, str) for tag in [*tags, pattern, kind])
    if not texts:
        raise Invalid("“tags” is a list of tags, “pattern” and “kind” are texts.")
    criteria = Criteria(
        names=frozenset(tags),
        pattern=Pattern.parse(kind, pattern) if pattern else None,
        older_than=_days(asked.get("older_than_days")),
    )
    if not criteria:
        raise Invalid("Say which tags: by “tags”, “pattern” or “older_than_days”, or “all”.")
    names = choose(image, criteria)
    if not names:
        raise Invalid("No tag fits. Nothing was planned.")
    return names


def _days(value: Any) -> timedelta | None:
    return None if value is None else days(str(value), "older_than_days")


@blueprint.get(ONE)
def removal(path: str, removal_id: int) -> Response:
    """Return a removal: its plan, how far it is, its report."""
    row, _ = load_removal(path, removal_id)
    return jsonify(_removal(row))


@blueprint.post(ONE + "/confirm")
def confirm_removal(path: str, removal_id: int) -> tuple[Response, int]:
    """Carry out a plan: that one, and nothing else."""
    row, loaded = load_removal(path, removal_id)
    if loaded is None:
        raise NotFound
    started = start_planned(actor(), row.id, loaded.place, loaded.acting_role)
    enqueue("run_removal", started.id)
    return jsonify(_removal(started)), 202


@blueprint.post(ONE + "/cancel")
def cancel_removal(path: str, removal_id: int) -> Response:
    """Stop a removal before its next step, or discard a plan."""
    row, _ = load_removal(path, removal_id)
    return jsonify(_removal(removals.cancel(actor(), row.id)))


def _removal(row: Removal) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
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
            for line in removals.lines_of(row, LINES)
        ],
    }
