"""Pages for retention policies: list, create, dry-run, switch on or off. For Maintainers."""

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
    """Return an HTML fragment that says, while typing, what the patterns in the form match."""
    loaded = load(path, Permission.DELETE)
    return render_template("_matches.html", text=_describe_matches(loaded, request.args))


@blueprint.post("/<name:path>/-/retention")
@login_required
def create(path: str) -> Answer:
    """Create a policy, switched off, together with its dry run, and show the dry run."""
    return _save_policy(load(path, Permission.DELETE))


@blueprint.route(POLICY_URL, methods=["GET", "POST"])
@login_required
def change(path: str, policy_id: int) -> Answer:
    """Show the form to change a policy; on POST, save it and show its dry run.

    A policy whose settings have changed is switched off.
    """
    loaded = load(path, Permission.DELETE)
    row = retention.policy(loaded.place, policy_id)
    if request.method == "GET":
        return _render_page(loaded, _fields_from_rules(Rules.of(row)), policy_id=policy_id)
    return _save_policy(loaded, policy_id)


@blueprint.post(POLICY_URL + "/dry-run")
@login_required
def dry_run(path: str, policy_id: int) -> Answer:
    """Store and show the dry run of a policy: the plan of what it would remove now."""
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
    """Switch a policy on or off; switching it on requires a dry run of its current settings."""
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
    """Delete a policy. Tags that it has removed stay removed."""
    retention.remove(actor(), load(path, Permission.DELETE).place, policy_id)
    flash("The policy was deleted.", "success")
    return redirect(url_for("retention.show", path=path))


def _save_policy(loaded: ResolvedPlace, policy_id: int | None = None) -> Answer:
    """Save the policy in the form and show its dry run, or show the form again with its errors.

    Args:
        loaded: the place of the policy.
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
    """Return a sentence with how many tags the patterns match, or what is wrong with them."""
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
        (row, row.seen == Rules.of(row).fingerprint) for row in retention.policies_of(loaded.place)
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
    """Return the patterns that need a confirmation, and whether the form confirms each.

    A pattern needs one if it should keep tags but matches none. After an error of another kind,
    it is not known which patterns these are, so only the confirmed ones are returned.
    """
    confirmed = request.form.getlist("confirm_unmatched")
    if isinstance(error, KeepsNothing):
        return [(pattern, pattern in confirmed) for pattern in error.patterns]
    text = str(values.get("keep_matching") or "").strip()
    is_regex = values.get("pattern_kind") == RegularExpression.kind
    items = (text,) if is_regex else split(text)
    return [(pattern, True) for pattern in items if pattern in confirmed]
