"""Pages for Maintainers to list, add, and delete a project's protection rules.

A protection rule makes tags immutable or restricts who can change them. The gate enforces it: the
part of this application that a reverse proxy asks before it forwards a push or deletion.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission, Role
from ..db.session import db
from ..errors import Invalid
from ..http.identity import actor, login_required
from ..http.loaders import ResolvedPlace, load
from ..http.query_args import crumbs
from ..patterns.glob import IMAGES, TAGS, Glob, PatternInvalid
from ..projects import tag_rules
from ..tags.enforcement import GateState, gate_state
from ..tags.match_counts import describe_matches

blueprint = Blueprint("protection", __name__)

#: Message after a protection rule was added, by whether the gate enforces rules.
ADDED_MESSAGES = {
    GateState.WORKS: "Rule added",
    GateState.MISSING: "Rule added, but not enforced without a gate",
    GateState.UNCONFIRMED: "Rule added; the next push shows whether the gate enforces it",
    GateState.BYPASSED: "Rule added, but not enforced, because pushes bypass the gate",
}
DEFAULT_VALUES = {"images": "**", "tags": "", "choice": "immutable"}


@blueprint.get("/<name:path>/-/protection")
@login_required
def show(path: str) -> str:
    """List the protection rules of a project, each with the number of tags that it covers now."""
    return _render_page(load(path, Permission.CONFIGURE), DEFAULT_VALUES)


@blueprint.get("/<name:path>/-/protection/matches")
@login_required
def matches(path: str) -> str:
    """Return an HTML fragment that says what the form's patterns match, shown while typing."""
    loaded = load(path, Permission.CONFIGURE)
    return render_template("_matches.html", text=_describe_matches(loaded, request.args))


@blueprint.post("/<name:path>/-/protection")
@login_required
def create(path: str) -> Response | tuple[str, int]:
    """Add a protection rule to a project."""
    loaded = load(path, Permission.CONFIGURE)
    values = {name: request.form.get(name, "").strip() for name in DEFAULT_VALUES}
    rule_request = tag_rules.RuleRequest(values["images"], values["tags"], values["choice"])
    try:
        rule = tag_rules.add(actor(), _get_role(loaded), loaded.project.path, rule_request)
    except Invalid as error:
        return _render_page(loaded, values, error.errors), error.status
    state = gate_state(db.session(), loaded.project.id)
    flash(
        f"{ADDED_MESSAGES[state]}: {rule.sentence}",
        "success" if state is GateState.WORKS else "warning",
    )
    return redirect(url_for("protection.show", path=path))


@blueprint.post("/<name:path>/-/protection/<int(max=2147483647):rule_id>/delete")
@login_required
def delete(path: str, rule_id: int) -> Response:
    """Delete a protection rule of a project."""
    loaded = load(path, Permission.CONFIGURE)
    tag_rules.remove(actor(), _get_role(loaded), loaded.project.path, rule_id)
    flash("Rule deleted.", "success")
    return redirect(url_for("protection.show", path=path))


def _get_role(loaded: ResolvedPlace) -> Role:
    return loaded.acting_role or Role.GUEST  # A role is required, so GUEST is not used.


def _describe_matches(loaded: ResolvedPlace, values: Mapping[str, str]) -> str:
    """Return a sentence that says how many tags the patterns match, or why one is invalid."""
    try:
        images = Glob.parse(values.get("images", "").strip(), IMAGES)
        tags = Glob.parse(values.get("tags", "").strip(), TAGS)
    except PatternInvalid as error:
        return str(error)
    return describe_matches(loaded.project.path, images, tags, attached=True)


def _render_page(
    loaded: ResolvedPlace, values: Mapping[str, str], errors: Mapping[str, str] | None = None
) -> str:
    project, role = loaded.project, _get_role(loaded)
    rules, all_counted = tag_rules.rules_of(project)
    return render_template(
        "protection.html",
        node=project,
        crumbs=crumbs(project.path),
        can=loaded.can,
        rules=rules,
        all_counted=all_counted,
        counted=tag_rules.MAX_COUNTED_TAGS,
        own_role=int(role),
        gate=gate_state(db.session(), project.id),
        violations=tag_rules.violations_of(project),
        values=values,
        matches=_describe_matches(loaded, values) if values["tags"] else "",
        errors=errors or {},
    )
