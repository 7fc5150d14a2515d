"""API endpoints for retention policies: create, change, dry-run, switch on, and run a policy."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from ..access import Permission
from ..errors import Conflict
from ..http.identity import actor
from ..http.loaders import load_whole
from ..jobs.queue import enqueue
from ..models import Place, Removal, RetentionPolicy
from ..patterns.glob import Glob
from ..retention import service as retention
from ..retention.rules import Rules
from . import blueprint
from .bodies import EMPTY_BODY, Schema, boolean, integer, patterns, string, strings
from .removals import serialize_removal

OF_PROJECT = "/projects/<name:path>/-/retention-policies"
OF_NAMESPACE = "/namespaces/<name:path>/-/retention-policies"
POLICY_ID = "<int(max=2147483647):policy_id>"
TRY = Schema({"confirm_unmatched": strings()})
SWITCH = Schema({"on": boolean(required=True)})
POLICY = Schema(
    {
        "images": patterns(),
        "keep_matching": patterns(),
        "pattern_kind": string(Glob.kind),
        "keep_last": integer(),
        "keep_pulled_days": integer(),
        "older_than_days": integer(),
        "confirm_unmatched": strings(),
    }
)


@blueprint.get(OF_PROJECT)
@blueprint.get(OF_NAMESPACE)
def list_policies(path: str) -> Response:
    """List the retention policies of a namespace or project."""
    rows = retention.policies_of(_load_place(path))
    return jsonify(retention_policies=[_serialize_policy(row) for row in rows])


@blueprint.post(OF_PROJECT)
@blueprint.post(OF_NAMESPACE)
def create_policy(path: str) -> tuple[Response, int]:
    """Create a retention policy, switched off, and return it with its dry run.

    The keys of the body are ``images``, ``keep_matching``, ``pattern_kind``, ``keep_last``,
    ``keep_pulled_days``, and ``older_than_days``; ``keep_last`` or ``older_than_days`` is
    required. ``confirm_unmatched`` lists those patterns in ``keep_matching`` that are accepted
    although they match no tag now.
    """
    return _save_policy(_load_place(path)), 201


@blueprint.put(f"{OF_PROJECT}/{POLICY_ID}")
@blueprint.put(f"{OF_NAMESPACE}/{POLICY_ID}")
def change_policy(path: str, policy_id: int) -> Response:
    """Replace all settings of a retention policy, and return the policy with its dry run.

    If the settings differ from the old ones, the policy is switched off.
    """
    place = _load_place(path)
    retention.policy(place, policy_id)
    return _save_policy(place, policy_id)


@blueprint.delete(f"{OF_PROJECT}/{POLICY_ID}")
@blueprint.delete(f"{OF_NAMESPACE}/{POLICY_ID}")
def delete_policy(path: str, policy_id: int) -> tuple[str, int]:
    """Delete a retention policy. Tags that the policy has removed are not restored."""
    retention.remove(actor(), _load_place(path), policy_id)
    return "", 204


@blueprint.post(f"{OF_PROJECT}/{POLICY_ID}/dry-run")
@blueprint.post(f"{OF_NAMESPACE}/{POLICY_ID}/dry-run")
def try_policy(path: str, policy_id: int) -> tuple[Response, int]:
    """Return a retention policy with a new dry run: the plan of what the policy would remove now.

    The body can contain ``confirm_unmatched``, as in create_policy().
    """
    place = _load_place(path)
    retention.policy(place, policy_id)
    confirmed = TRY.read()["confirm_unmatched"]
    removal = retention.dry_run(actor(), place, policy_id, confirmed)
    return _respond_with_dry_run(retention.policy(place, policy_id), removal), 201


@blueprint.post(f"{OF_PROJECT}/{POLICY_ID}/switch")
@blueprint.post(f"{OF_NAMESPACE}/{POLICY_ID}/switch")
def switch_policy(path: str, policy_id: int) -> Response:
    """Switch a retention policy on or off, depending on ``on`` in the body.

    A policy can be switched on only after a dry run with its current settings.
    """
    place = _load_place(path)
    retention.policy(place, policy_id)
    retention.switch(actor(), place, policy_id, on=SWITCH.read()["on"])
    return jsonify(_serialize_policy(retention.policy(place, policy_id)))


@blueprint.post(f"{OF_PROJECT}/{POLICY_ID}/run")
@blueprint.post(f"{OF_NAMESPACE}/{POLICY_ID}/run")
def run_policy(path: str, policy_id: int) -> tuple[Response, int]:
    """Run a retention policy now, and return the removal that the run starts.

    Raises:
        Conflict: the policy is switched off, was changed meanwhile, or can't start a removal now.
    """
    place = _load_place(path)
    policy = retention.policy(place, policy_id)
    EMPTY_BODY.read()
    if not policy.is_enabled:
        raise Conflict("The policy is off. Switch it on first.")
    removal = retention.run(actor(), policy_id)
    if removal is None:
        problem = retention.policy(place, policy_id).last_problem
        raise Conflict(problem or "The policy was changed meanwhile.")
    enqueue("run_removal", removal.id)
    return jsonify(serialize_removal(removal)), 202


def _load_place(path: str) -> Place:
    return load_whole(path, Permission.DELETE).place


def _save_policy(place: Place, policy_id: int | None = None) -> Response:
    """Create or change a policy and store its dry run; if the dry run fails, save neither.

    Args:
        place: the namespace or project of the policy.
        policy_id: the policy to change; None for a new one.
    """
    body = POLICY.read()
    confirmed = body["confirm_unmatched"]
    rules = Rules.parse({name: str(value) for name, value in _settings_from_body(body).items()})
    row, removal = retention.save_and_try(actor(), place, rules, policy_id, confirmed)
    return _respond_with_dry_run(row, removal)


def _settings_from_body(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in Rules.__slots__ if body[name] is not None}


def _respond_with_dry_run(row: RetentionPolicy, removal: Removal) -> Response:
    return jsonify({**_serialize_policy(row), "dry_run": serialize_removal(removal)})


def _serialize_policy(row: RetentionPolicy) -> dict[str, Any]:
    rules = Rules.of(row)
    return {
        "id": row.id,
        **{name: getattr(rules, name) for name in Rules.__slots__},
        "is_on": row.is_enabled,
        "dry_run_seen": row.dry_run_fingerprint == rules.fingerprint,
        "created_by": row.created_by,
        "last_run_at": row.last_run_at.isoformat() if row.last_run_at else None,
        "last_removal": row.last_removal,
        "last_problem": row.last_problem,
        "suspension_reason": row.suspension_reason,
    }
