"""Pages for Maintainers to list, create, change, dry-run, and switch retention policies.

A retention policy of a namespace or project deletes old tags once a day while it is switched on.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission
from ..errors import AppError, Conflict, Invalid, RegistryUnreachable
from ..http.identity import actor, login_required
from ..http.loaders import ResolvedPlace, load
from ..http.query_args import crumbs
from ..models import Removal, utc_now
from ..patterns.glob import IMAGES, TAGS, Glob, PatternInvalid, RegularExpression, parse, split
from ..retention import service as retention
from ..retention.rules import Rules
from ..retention.selection import KeepsNothing
from ..tags.match_counts import describe_matches

blueprint = Blueprint("retention", __name__)

Answer = Response | str | tuple[str, int]

PATTERN_FIELDS = ("images", "keep_matching", "pattern_kind")
POLICY_URL = "/<name:path>/-/retention/<int(max=2147483647):policy_id>"


@blueprint.get("/<name:path>/-/retention")
@login_required
def show(path: str) -> str:
    """List the retention policies of a namespace or project, with a form for a new one."""
    return _render_page(load(path, Permission.DELETE))


@blueprint.get("/<name:path>/-/retention/matches")
@login_required
def matches(path: str) -> str:
    """Return an HTML fragment that says what the form's patterns match, shown while typing."""
    loaded = load(path, Permission.DELETE)
    return render_template("_matches.html", text=_describe_matches(loaded, request.args))


@blueprint.post("/<name:path>/-/retention")
@login_required
def create(path: str) -> Answer:
    """Create a retention policy that is switched off, and show a dry run of it."""
    return _save_policy(load(path, Permission.DELETE))


@blueprint.route(POLICY_URL, methods=["GET", "POST"])
@login_required
def change(path: str, policy_id: int) -> Answer:
    """Show the form to change a retention policy; on POST, save the policy and show a dry run.

    A policy is switched off if its settings have changed.
    """
    loaded = load(path, Permission.DELETE)
    row = retention.policy(loaded.place, policy_id)
    if request.method == "GET":
        return _render_page(loaded, _fields_from_rules(Rules.of(row)), policy_id=policy_id)
    return _save_policy(loaded, policy_id)


@blueprint.post(POLICY_URL + "/dry-run")
@login_required
def dry_run(path: str, policy_id: int) -> Answer:
    """Store and show the dry run of a retention policy: a plan of the tags it would delete now."""
    loaded = load(path, Permission.DELETE)
    row = retention.policy(loaded.place, policy_id)
    fields = _fields_from_rules(Rules.of(row))
    try:
        removal = retention.dry_run(actor(), loaded.place, policy_id)
    except Conflict:
        raise
    except Invalid as error:
        return _render_page(loaded, fields, error, policy_id=policy_id), error.status
    return _redirect_to_plan(loaded, removal)


@blueprint.post(POLICY_URL + "/switch")
@login_required
def switch(path: str, policy_id: int) -> Response:
    """Switch a policy on or off. To switch it on, its settings must have had a dry run."""
    loaded = load(path, Permission.DELETE)
    on = bool(request.form.get("on"))
    try:
        retention.switch(actor(), loaded.place, policy_id, on=on)
    except Conflict as error:
        flash(error.message, "error")
    else:
        flash(f"The policy is {'on' if on else 'off'}.", "success")
    return redirect(url_for("retention.show", path=path))


@blueprint.post(POLICY_URL + "/delete")
@login_required
def delete(path: str, policy_id: int) -> Response:
    """Delete a retention policy. Tags that the policy has deleted are not restored."""
    retention.remove(actor(), load(path, Permission.DELETE).place, policy_id)
    flash("The policy was deleted.", "success")
    return redirect(url_for("retention.show", path=path))


def _save_policy(loaded: ResolvedPlace, policy_id: int | None = None) -> Answer:
    """Save the policy in the form and show its dry run, or show the form again with errors.

    Args:
        loaded: the namespace or project of the policy.
        policy_id: the policy to change; None for a new one.
    """
    form = request.form
    confirmed = form.getlist("confirm_unmatched")
    try:
        rules = Rules.parse(form.to_dict())
        _, removal = retention.save_and_try(actor(), loaded.place, rules, policy_id, confirmed)
    except (Invalid, RegistryUnreachable) as error:
        return _render_page(loaded, form, error, policy_id=policy_id), error.status
    return _redirect_to_plan(loaded, removal)


def _redirect_to_plan(loaded: ResolvedPlace, removal: Removal) -> Response:
    path = loaded.place.path
    return redirect(url_for("removals.show", path=path, removal_id=removal.id))


def _fields_from_rules(rules: Rules) -> dict[str, object]:
    return {name: getattr(rules, name) for name in rules.__slots__}


def _describe_matches(loaded: ResolvedPlace, values: Mapping[str, object]) -> str:
    """Return a sentence that says how many tags the patterns match, or why one is invalid."""
    texts = {name: str(values.get(name) or "").strip() for name in PATTERN_FIELDS}
    kind = texts["pattern_kind"] or Glob.kind
    images = texts["images"] or ("**" if kind == Glob.kind else ".*")
    try:
        pattern = parse(kind, images, IMAGES)
        keep = parse(kind, texts["keep_matching"], TAGS) if texts["keep_matching"] else None
    except PatternInvalid as error:
        return str(error)
    return describe_matches(loaded.place.path, pattern, keep)


def _render_page(
    loaded: ResolvedPlace,
    values: Mapping[str, object] | None = None,
    error: AppError | None = None,
    policy_id: int | None = None,
) -> str:
    policies = [
        (row, row.dry_run_fingerprint == Rules.of(row).fingerprint)
        for row in retention.policies_of(loaded.place)
    ]
    errors = error.errors if isinstance(error, Invalid) else {}
    if error and not errors:
        errors = {"form": f"{error.message} {error.hint}".strip()}
    return render_template(
        "retention.html",
        node=loaded.place,
        crumbs=crumbs(loaded.place.path),
        can=loaded.can,
        policies=policies,
        next_run=retention.next_run(utc_now()),
        values=values or {},
        matches=_describe_matches(loaded, values) if values else "",
        errors=errors,
        unmatched=_find_unmatched(values or {}, error),
        changing=policy_id,
    )


def _find_unmatched(values: Mapping[str, object], error: AppError | None) -> list[tuple[str, bool]]:
    """Return the keep patterns that need a confirmation, each with whether the form confirms it.

    A keep pattern needs a confirmation if it matches no tag. Only the error KeepsNothing lists
    these patterns; otherwise only the patterns that the form already confirms are returned.

    Args:
        values: the fields of the form.
        error: the error of the last attempt to save or dry-run the policy, or None.
    """
    confirmed = request.form.getlist("confirm_unmatched")
    if isinstance(error, KeepsNothing):
        return [(pattern, pattern in confirmed) for pattern in error.patterns]
    text = str(values.get("keep_matching") or "").strip()
    is_regex = values.get("pattern_kind") == RegularExpression.kind
    items = (text,) if is_regex else split(text)
    return [(pattern, True) for pattern in items if pattern in confirmed]
