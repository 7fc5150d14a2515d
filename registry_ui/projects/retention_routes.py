"""Retention policies of a namespace or project: list, try, switch on. For its Maintainers."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import login_required
from werkzeug.wrappers import Response

from ..access import Right
from ..catalog import retention
from ..catalog.retention_rules import Rules
from ..errors import Clash, Invalid
from ..models import utc_now
from ..pages import crumbs
from ..security import Loaded, actor, load

blueprint = Blueprint("retention", __name__)

ONE = "/<name:path>/-/retention/<int(max=2147483647):policy_id>"


@blueprint.get("/<name:path>/-/retention")
@login_required
def show(path: str) -> str:
    """List the policies of a place, and a form for a new one."""
    return _page(load(path, Right.DELETE))


@blueprint.post("/<name:path>/-/retention")
@login_required
def create(path: str) -> Response | tuple[str, int]:
    """Keep a new policy, switched off, and show its dry run."""
    loaded = load(path, Right.DELETE)
    try:
        row = retention.save(actor(), loaded.place, Rules.parse(request.form.to_dict()))
    except Invalid as error:
        return _page(loaded, request.form, error.errors), error.status
    return _try_out(loaded, row.id)


@blueprint.route(ONE, methods=["GET", "POST"])
@login_required
def change(path: str, policy_id: int) -> Response | str | tuple[str, int]:
    """Change a policy's settings; it is off until their dry run was seen."""
    loaded = load(path, Right.DELETE)
    row = retention.policy(loaded.place, policy_id)
    if request.method == "GET":
        return _page(loaded, _fields(Rules.of(row)), changing=policy_id)
    try:
        retention.save(actor(), loaded.place, Rules.parse(request.form.to_dict()), policy_id)
    except Invalid as error:
        return _page(loaded, request.form, error.errors, changing=policy_id), error.status
    return _try_out(loaded, policy_id)


@blueprint.post(ONE + "/dry-run")
@login_required
def dry_run(path: str, policy_id: int) -> Response:
    """Store and show the plan of what a policy would remove now."""
    loaded = load(path, Right.DELETE)
    retention.policy(loaded.place, policy_id)
    return _try_out(loaded, policy_id)


@blueprint.post(ONE + "/switch")
@login_required
def switch(path: str, policy_id: int) -> Response:
    """Switch a policy on, if its dry run was seen, or off."""
    loaded = load(path, Right.DELETE)
    on = bool(request.form.get("on"))
    try:
        retention.switch(actor(), loaded.place, policy_id, on=on)
    except Clash as error:
        flash(error.message, "error")
    else:
        flash(f"The policy is {'on' if on else 'off'}.", "success")
    return redirect(url_for("retention.show", path=path))


@blueprint.post(ONE + "/delete")
@login_required
def delete(path: str, policy_id: int) -> Response:
    """Delete a policy; what it removed stays removed."""
    retention.remove(actor(), load(path, Right.DELETE).place, policy_id)
    flash("The policy was deleted.", "success")
    return redirect(url_for("retention.show", path=path))


def _try_out(loaded: Loaded, policy_id: int) -> Response:
    removal = retention.try_out(actor(), loaded.place, policy_id)
    path = loaded.place.path
    return redirect(url_for("removals.show", path=path, removal_id=removal.id))


def _fields(rules: Rules) -> dict[str, object]:
    return {name: getattr(rules, name) for name in rules.__slots__}


def _page(
    loaded: Loaded,
    values: Mapping[str, object] | None = None,
    errors: dict[str, str] | None = None,
    changing: int | None = None,
) -> str:
    policies = [
        (row, row.seen == Rules.of(row).fingerprint) for row in retention.policies_of(loaded.place)
    ]
    return render_template(
        "retention.html",
        node=loaded.place,
        crumbs=crumbs(loaded.place.path),
        can=loaded.can,
        policies=policies,
        next_run=retention.next_run(utc_now()),
        values=values or {},
        errors=errors or {},
        changing=changing,
    )
