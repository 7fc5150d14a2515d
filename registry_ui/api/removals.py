"""Removal by programs: a plan first, then its confirmation, then how far it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, jsonify

from ..access import Right
from ..catalog import bin as bin_of_tags
from ..catalog import removals
from ..catalog.choosing import Criteria, choose, days
from ..catalog.deletion import plan_image, plan_tags
from ..catalog.patterns import Pattern
from ..catalog.starting import keep_plan, start_planned
from ..errors import Invalid
from ..jobs import enqueue
from ..models import ContainerImage, Removal
from ..projects.removing import plan_place
from ..security import Loaded, actor, load, load_image, load_planned, load_removal, load_whole
from .bodies import LINES, json_object, text, work_told
from .routes import blueprint

OF_PROJECT, OF_NAMESPACE = "/projects/<name:path>/-/removals", "/namespaces/<name:path>/-/removals"
NUMBER = "<int(max=2147483647):removal_id>"


@blueprint.post(OF_NAMESPACE)
def plan_namespace_removal(path: str) -> tuple[Response, int]:
    """Plan the removal of a namespace with everything in it; nothing is deleted yet."""
    return _plan_place(load_whole(path, Right.REMOVE))


@blueprint.post(OF_PROJECT)
def plan_removal(path: str) -> tuple[Response, int]:
    """Plan a removal of tags of an image, or of the image; nothing is deleted yet.

    The body: ``image`` (below the project, "" for the root image), and ``tags``, ``pattern``
    (with ``kind``), ``older_than_days``, or ``all``; ``attached`` and ``for_good``. Or
    ``project``, true, for the whole project.
    """
    load(path, Right.DELETE)
    asked = json_object()
    if asked.get("project") is True:
        return _plan_place(load_whole(path, Right.REMOVE))
    name = text(asked, "image", "")
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
    return jsonify(removal_told(removal)), 201


def _plan_place(loaded: Loaded) -> tuple[Response, int]:
    plan = plan_place(loaded.place, loaded.acting_role)
    return jsonify(removal_told(keep_plan(actor(), plan, loaded.place))), 201


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


@blueprint.get(f"{OF_PROJECT}/{NUMBER}")
@blueprint.get(f"{OF_NAMESPACE}/{NUMBER}")
def removal(path: str, removal_id: int) -> Response:
    """Return a removal: its plan, how far it is, its report."""
    row, _ = load_removal(path, removal_id)
    return jsonify(removal_told(row))


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/confirm")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/confirm")
def confirm_removal(path: str, removal_id: int) -> tuple[Response, int]:
    """Carry out a plan: that one, and nothing else."""
    row, loaded = load_planned(path, removal_id)
    started = start_planned(actor(), row.id, loaded.place, loaded.acting_role)
    enqueue("run_removal", started.id)
    return jsonify(removal_told(started)), 202


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/cancel")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/cancel")
def cancel_removal(path: str, removal_id: int) -> Response:
    """Stop a removal before its next step, or discard a plan."""
    row, _ = load_removal(path, removal_id)
    return jsonify(removal_told(removals.cancel(actor(), row.id)))


def removal_told(row: Removal) -> dict[str, Any]:
    """Return a removal as programs read it: its plan, how far it is, its report."""
    return work_told(row, removals.lines_of(row, LINES))
