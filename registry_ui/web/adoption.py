"""Pages to adopt unassigned repositories in bulk: choose, preview, confirm, and report.

An unassigned repository is in the registry, but no project owns it. An adoption creates projects
that own such repositories.
"""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..adoption.report import adoption_report
from ..adoption.service import AdoptionRequest, adopt, plan_adoption
from ..db.session import db
from ..errors import Invalid
from ..formatting import pluralize
from ..http.identity import actor, administrators_only
from ..jobs.queue import enqueue

blueprint = Blueprint("adoption", __name__, url_prefix="/-/admin/unassigned/adopt")
blueprint.before_request(administrators_only)

#: Maximum number of projects that the preview lists, and maximum number of conflicts.
PREVIEW_LIMIT = 200


@blueprint.get("")
def preview() -> tuple[str, int]:
    """Show the plan of an adoption: the project that would own each unassigned repository."""
    values = {
        "below": request.args.get("below", ""),
        "parts": request.args.get("parts", "2"),
        "visibility": request.args.get("visibility", "private"),
        "owner": request.args.get("owner", actor().name),
    }
    try:
        plan = plan_adoption(db.session(), AdoptionRequest.parse(**values))
    except Invalid as error:
        return _render_plan(values, None, error.errors), error.status
    return _render_plan(values, plan, {}), 200


@blueprint.post("")
def confirm() -> Response:
    """Create the projects in the plan of an adoption, and let the worker read the repositories."""
    form = request.form
    names = ("below", "parts", "visibility", "owner")
    adoption_request = AdoptionRequest.parse(*(form.get(name, "") for name in names))
    plan, adoption_id = adopt(actor(), adoption_request, form.get("digest", ""))
    enqueue("index_adopted")
    flash(
        f"{pluralize(plan.repositories, 'repository', 'repositories')} can be pulled as images of "
        f"{pluralize(len(plan.projects), 'project')} now. The worker reads their tags.",
        "success",
    )
    return redirect(url_for("adoption.report", adoption_id=adoption_id))


@blueprint.get("/<int(max=2147483647):adoption_id>")
def report(adoption_id: int) -> str:
    """Show the report of an adoption: its projects, and who can see them."""
    adoption = adoption_report(db.session(), adoption_id)
    return render_template("admin_adopted.html", report=adoption, detail=adoption.detail)


def _render_plan(values: dict[str, str], plan: object, errors: dict[str, str]) -> str:
    return render_template(
        "admin_adopt.html",
        values=values,
        plan=plan,
        errors=errors,
        limit=PREVIEW_LIMIT,
    )
