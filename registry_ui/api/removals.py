"""Removal by programs: a plan first, then its confirmation, then how far it is."""

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
    LINES,
    NOTHING,
    Schema,
    boolean,
    integer,
    patterns,
    serialize_operation,
    string,
    strings,
)

OF_PROJECT, OF_NAMESPACE = "/projects/<name:path>/-/removals", "/namespaces/<name:path>/-/removals"
NUMBER = "<int(max=2147483647):removal_id>"


_CHOICES = ("tags", "pattern", "kind", "older_than_days", "orphans", "all")
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
        "project": ("image", "attached", *_CHOICES),
        "all": ("tags", "pattern", "older_than_days", "orphans"),
        "tags": ("pattern", "older_than_days", "orphans"),
    },
    needs={"kind": "pattern", "despite_rules": "tags"},
    implies={"all": "attached", "project": "for_good"},
)
#: What the confirmation of a plan can say.
CONFIRMATION = Schema({"despite_rules": boolean()})


@blueprint.post(OF_NAMESPACE)
def plan_namespace_removal(path: str) -> tuple[Response, int]:
    """Plan the removal of a namespace with everything in it; nothing is deleted yet."""
    loaded = load_whole(path, Permission.REMOVE)
    NOTHING.read()
    return _plan_place(loaded)


@blueprint.post(OF_PROJECT)
def plan_removal(path: str) -> tuple[Response, int]:
    """Plan a removal of tags of an image, or of the image; nothing is deleted yet.

    The body: ``image`` (below the project, "" for the root image), and ``tags``, or
    ``pattern`` (with ``kind``), ``older_than_days`` and ``orphans``, or ``all``; ``attached`` and
    ``for_good``. Or ``project``, true, for the whole project. ``despite_rules``, true, removes
    ``tags`` that can't be read although they are immutable; the confirmation says so again.
    """
    load(path, Permission.DELETE)
    body = PLAN.read()
    if body["project"]:
        return _plan_place(load_whole(path, Permission.REMOVE))
    loaded, image = load_image(path, body["image"], Permission.DELETE)
    bin_days = 0 if body["for_good"] else trash.days()
    if body["all"]:
        plan = plan_image(image, bin_days=bin_days, role=loaded.acting_role)
    else:
        chosen = [(image, _names(image, body))]
        despite = body["despite_rules"]
        plan = RemovalPlan(
            "tags", image.path, [], method="none", bin_days=bin_days, despite_rules=despite
        )
        add_tags(plan, chosen, loaded.acting_role, attached=body["attached"])
        if body["orphans"]:
            record_missing_subjects(plan, chosen)
    removal = save_plan(actor(), plan, loaded.project)
    return jsonify(serialize_removal(removal)), 201


def _plan_place(loaded: ResolvedPlace) -> tuple[Response, int]:
    plan = plan_place(loaded.place, loaded.acting_role)
    return jsonify(serialize_removal(save_plan(actor(), plan, loaded.place))), 201


def _names(image: ContainerImage, body: dict[str, Any]) -> set[str]:
    """Return the tags that the body is about.

    Raises:
        Invalid: it is about none, or names one that does not exist.
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


@blueprint.get(f"{OF_PROJECT}/{NUMBER}")
@blueprint.get(f"{OF_NAMESPACE}/{NUMBER}")
def removal(path: str, removal_id: int) -> Response:
    """Return a removal: its plan, how far it is, its report."""
    row, _ = load_removal(path, removal_id)
    return jsonify(serialize_removal(row))


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/confirm")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/confirm")
def confirm_removal(path: str, removal_id: int) -> tuple[Response, int]:
    """Carry out a plan: that one, and nothing else.

    A plan that sets rules aside (``despite``) is confirmed with ``despite_rules``, true.
    """
    row, loaded = load_planned(path, removal_id)
    confirmed = CONFIRMATION.read()["despite_rules"]
    started = start_planned(
        actor(), row.id, loaded.place, loaded.acting_role, despite_rules=confirmed
    )
    enqueue("run_removal", started.id)
    return jsonify(serialize_removal(started)), 202


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/cancel")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/cancel")
def cancel_removal(path: str, removal_id: int) -> Response:
    """Stop a removal before its next step, or discard a plan."""
    row, _ = load_removal(path, removal_id)
    NOTHING.read()
    return jsonify(serialize_removal(runner.cancel(actor(), row.id)))


def serialize_removal(row: Removal) -> dict[str, Any]:
    """Return a removal as programs read it: its plan, how far it is, its report."""
    return serialize_operation(row, runner.lines_of(row, LINES))
