"""Retention policies by programs: kept, tried, switched on, carried out now."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from ..access import Right
from ..catalog import retention
from ..catalog.retention_rules import Rules
from ..errors import Clash, Invalid
from ..jobs import enqueue
from ..models import Place, RetentionPolicy
from ..security import actor, load_whole
from .bodies import json_object
from .moves import blueprint
from .removals import removal_told

OF_PROJECT = "/projects/<name:path>/-/retention-policies"
OF_NAMESPACE = "/namespaces/<name:path>/-/retention-policies"
NUMBER = "<int(max=2147483647):policy_id>"


@blueprint.get(OF_PROJECT)
@blueprint.get(OF_NAMESPACE)
def list_policies(path: str) -> Response:
    """List the policies of a namespace or project."""
    rows = retention.policies_of(_place(path))
    return jsonify(retention_policies=[_policy(row) for row in rows])


@blueprint.post(OF_PROJECT)
@blueprint.post(OF_NAMESPACE)
def create_policy(path: str) -> tuple[Response, int]:
    """Keep a policy, switched off, and return it with its dry run.

    The body: ``images``, ``keep_matching``, ``pattern_kind``, ``keep_last``,
    ``keep_pulled_days``, ``older_than_days``; of the last, ``keep_last`` or
    ``older_than_days`` at least.
    """
    place = _place(path)
    row = retention.save(actor(), place, _rules())
    return _tried(place, row.id), 201


@blueprint.put(f"{OF_PROJECT}/{NUMBER}")
@blueprint.put(f"{OF_NAMESPACE}/{NUMBER}")
def change_policy(path: str, policy_id: int) -> Response:
    """Change all settings of a policy, and return it with its dry run; it is off then."""
    place = _place(path)
    retention.policy(place, policy_id)
    retention.save(actor(), place, _rules(), policy_id)
    return _tried(place, policy_id)


@blueprint.delete(f"{OF_PROJECT}/{NUMBER}")
@blueprint.delete(f"{OF_NAMESPACE}/{NUMBER}")
def delete_policy(path: str, policy_id: int) -> tuple[str, int]:
    """Delete a policy; what it removed stays removed."""
    retention.remove(actor(), _place(path), policy_id)
    return "", 204


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/dry-run")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/dry-run")
def try_policy(path: str, policy_id: int) -> tuple[Response, int]:
    """Return the policy, and the plan of what it would remove now."""
    return _tried(_place(path), policy_id), 201


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/switch")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/switch")
def switch_policy(path: str, policy_id: int) -> Response:
    """Switch a policy on, if there was a dry run of its settings, or off. The body: ``on``."""
    place = _place(path)
    on = json_object().get("on")
    if not isinstance(on, bool):
        raise Invalid("“on” is true or false.")
    retention.switch(actor(), place, policy_id, on=on)
    return jsonify(_policy(retention.policy(place, policy_id)))


@blueprint.post(f"{OF_PROJECT}/{NUMBER}/run")
@blueprint.post(f"{OF_NAMESPACE}/{NUMBER}/run")
def run_policy(path: str, policy_id: int) -> tuple[Response, int]:
    """Carry out a policy that is on, now; return its removal, which the worker begins."""
    place = _place(path)
    if not retention.policy(place, policy_id).is_enabled:
        raise Clash("The policy is off. Switch it on first.")
    removal = retention.run(actor(), policy_id)
    if removal is None:
        problem = retention.policy(place, policy_id).last_problem
        raise Clash(problem or "The policy was changed meanwhile.")
    enqueue("run_removal", removal.id)
    return jsonify(removal_told(removal)), 202


def _place(path: str) -> Place:
    return load_whole(path, Right.DELETE).place


def _rules() -> Rules:
    body, form = json_object(), dict[str, str]()
    for name in Rules.__slots__:
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise Invalid("The policy can't be used.", {name: "A text or a whole number."})
        text = "" if value is None else str(value)
        if not text.isprintable():
            raise Invalid("The policy can't be used.", {name: "A text that can be a pattern."})
        form[name] = text
    return Rules.parse(form)


def _tried(place: Place, policy_id: int) -> Response:
    removal = retention.try_out(actor(), place, policy_id)
    row = retention.policy(place, policy_id)
    return jsonify({**_policy(row), "dry_run": removal_told(removal)})


def _policy(row: RetentionPolicy) -> dict[str, Any]:
    rules = Rules.of(row)
    return {
        "id": row.id,
        **{name: getattr(rules, name) for name in Rules.__slots__},
        "is_on": row.is_enabled,
        "dry_run_seen": row.seen == rules.fingerprint,
        "created_by": row.created_by,
        "last_run_at": row.last_run_at.isoformat() if row.last_run_at else None,
        "last_removal": row.last_removal,
        "last_problem": row.last_problem,
    }
