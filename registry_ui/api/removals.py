"""API endpoints for removals of tags, images, projects, and namespaces.

A removal is planned, then confirmed or canceled; the worker runs confirmed removals.
"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from ..access import Permission
from ..errors import Invalid
from ..http.identity import actor
from ..http.loaders import ResolvedPlace, load, load_image, load_planned, load_removal, load_whole
from ..jobs.queue import enqueue
from ..models import ContainerImage, Removal
from ..patterns.glob import TAGS, Glob
from ..patterns.retention import parse_pattern
from ..removals import runner
from ..removals.places import plan_place
from ..removals.plan import RemovalPlan
from ..removals.planned_manifests import record_missing_subjects
from ..removals.planner import add_tags, plan_image
from ..removals.service import save_plan, start_planned
from ..tags.selection import Criteria, choose, days
from ..trash import service as trash
from . import blueprint
from .bodies import (
    EMPTY_BODY,
    MAX_LINES,
    Schema,
    boolean,
    integer,
    patterns,
    serialize_operation,
    string,
    strings,
)

OF_PROJECT, OF_NAMESPACE = "/projects/<name:path>/-/removals", "/namespaces/<name:path>/-/removals"
REMOVAL_ID = "<int(max=2147483647):removal_id>"


_SELECTION_KEYS = ("tags", "pattern", "kind", "older_than_days", "orphans", "all")
PLAN = Schema(
    {
        "project": boolean(),
        "image": string(),
        "tags": strings(),
        "pattern": patterns(),
        "kind": string(Glob.kind),
        "older_than_days": integer(),
        "orphans": boolean(),
        "despite_rules": boolean(),
        "all": boolean(),
        "attached": boolean(),
        "for_good": boolean(),
    },
    conflicts={
        "project": ("image", "attached", *_SELECTION_KEYS),
        "all": ("tags", "pattern", "older_than_days", "orphans"),
        "tags": ("pattern", "older_than_days", "orphans"),
    },
    needs={"kind": "pattern", "despite_rules": "tags"},
    implies={"all": "attached", "project": "for_good"},
)
#: Schema of the request body that confirms a planned removal.
CONFIRMATION = Schema({"despite_rules": boolean()})


@blueprint.post(OF_NAMESPACE)
def plan_namespace_removal(path: str) -> tuple[Response, int]:
    """Plan to remove a namespace with all of its content; nothing is deleted yet."""
    loaded = load_whole(path, Permission.REMOVE)
    EMPTY_BODY.read()
    return _save_place_plan(loaded)


@blueprint.post(OF_PROJECT)
def plan_removal(path: str) -> tuple[Response, int]:
    """Plan to remove tags of an image, a whole image, or the project; nothing is deleted yet.

    The body selects the tags of ``image`` (name below the project; "" for the root image): by
    name with ``tags``; by ``pattern`` (of type ``kind``), ``older_than_days``, and ``orphans``
    (signatures whose subject no longer exists); or all of them with ``all``, which removes the
    image. ``attached`` also removes the signatures of these tags, and ``for_good`` bypasses the
    trash. If ``project`` is true, the whole project is removed instead.

    If ``despite_rules`` is true, tags in ``tags`` that the registry can't read are removed even if
    they are immutable; the confirmation must also set ``despite_rules``.
    """
    load(path, Permission.DELETE)
    body = PLAN.read()
    if body["project"]:
        return _save_place_plan(load_whole(path, Permission.REMOVE))
    loaded, image = load_image(path, body["image"], Permission.DELETE)
    trash_days = 0 if body["for_good"] else trash.days()
    if body["all"]:
        plan = plan_image(image, trash_days=trash_days, role=loaded.acting_role)
    else:
        selection = [(image, _select_tags(image, body))]
        despite_rules = body["despite_rules"]
        plan = RemovalPlan(
            "tags",
            image.path,
            [],
            method="none",
            trash_days=trash_days,
            despite_rules=despite_rules,
        )
        add_tags(plan, selection, loaded.acting_role, attached=body["attached"])
        if body["orphans"]:
            record_missing_subjects(plan, selection)
    removal = save_plan(actor(), plan, loaded.project)
    return jsonify(serialize_removal(removal)), 201


def _save_place_plan(loaded: ResolvedPlace) -> tuple[Response, int]:
    plan = plan_place(loaded.place, loaded.acting_role)
    return jsonify(serialize_removal(save_plan(actor(), plan, loaded.place))), 201


def _select_tags(image: ContainerImage, body: dict[str, Any]) -> set[str]:
    """Return the names of the tags of an image that the body of a request selects.

    Raises:
        Invalid: the body has no criteria, has an invalid one, or names a tag that does not exist;
            or no tag matches.
    """
    pattern, age = body["pattern"], body["older_than_days"]
    criteria = Criteria(
        names=frozenset(body["tags"]),
        pattern=parse_pattern(body["kind"], pattern, TAGS) if pattern else None,
        older_than=None if age is None else days(str(age), "older_than_days"),
        orphans=body["orphans"],
    )
    if not criteria:
        raise Invalid("Name the “tags”, send “pattern”, “older_than_days” or “orphans”, or “all”.")
    names = choose(image, criteria)
    if not names:
        raise Invalid("No tag matches. Nothing was planned.")
    return names


@blueprint.get(f"{OF_PROJECT}/{REMOVAL_ID}")
@blueprint.get(f"{OF_NAMESPACE}/{REMOVAL_ID}")
def removal(path: str, removal_id: int) -> Response:
    """Return a removal with its plan, progress, and report."""
    row, _ = load_removal(path, removal_id)
    return jsonify(serialize_removal(row))


@blueprint.post(f"{OF_PROJECT}/{REMOVAL_ID}/confirm")
@blueprint.post(f"{OF_NAMESPACE}/{REMOVAL_ID}/confirm")
def confirm_removal(path: str, removal_id: int) -> tuple[Response, int]:
    """Start a planned removal, exactly as planned.

    If the plan removes tags despite protection rules (listed as ``despite``), the body must set
    ``despite_rules`` to true.
    """
    row, loaded = load_planned(path, removal_id)
    despite_rules = CONFIRMATION.read()["despite_rules"]
    started = start_planned(
        actor(), row.id, loaded.place, loaded.acting_role, despite_rules=despite_rules
    )
    enqueue("run_removal", started.id)
    return jsonify(serialize_removal(started)), 202


@blueprint.post(f"{OF_PROJECT}/{REMOVAL_ID}/cancel")
@blueprint.post(f"{OF_NAMESPACE}/{REMOVAL_ID}/cancel")
def cancel_removal(path: str, removal_id: int) -> Response:
    """Stop a running removal before its next step, or discard a planned removal."""
    row, _ = load_removal(path, removal_id)
    EMPTY_BODY.read()
    return jsonify(serialize_removal(runner.cancel(actor(), row.id)))


def serialize_removal(row: Removal) -> dict[str, Any]:
    """Return the JSON form of a removal, with its plan, progress, and report."""
    return serialize_operation(row, runner.lines_of(row, MAX_LINES))
