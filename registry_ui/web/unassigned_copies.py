"""Page to copy an unassigned repository (one that no project owns) into a project.

Administrators use it for a repository that can't be adopted, because no project can own its path.
"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..copies import service as copies
from ..copies.authorization import offered_projects
from ..copies.request import CopyForm, plan_unassigned
from ..copies.unassigned import require_unassigned
from ..db.session import db
from ..errors import Invalid
from ..http.identity import actor, administrators_only, principal
from ..http.loaders import load_copy_target
from ..names import RepositoryName

blueprint = Blueprint("unassigned_copies", __name__, url_prefix="/-/admin/unassigned/copy")
blueprint.before_request(administrators_only)


@blueprint.route("/<name:name>", methods=["GET", "POST"])
def copy_unassigned(name: str) -> Response | tuple[str, int]:
    """Show the form to choose the target project and image name of a copy; on POST, plan the copy.

    The plan is stored and shown; nothing is copied until it is confirmed.
    """
    repository = RepositoryName(name)
    require_unassigned(db.session(), repository)
    form, errors = _read_form(repository), {}
    if request.method == "POST":
        try:
            target = load_copy_target(form.project)
            planned = plan_unassigned(form, repository, target, principal(), actor())
        except Invalid as error:
            errors = error.errors or {"form": error.message}
        else:
            page = url_for("copies.show", path=planned.project_path, copy_id=planned.id)
            return redirect(page)
    page = render_template(
        "copy_unassigned.html",
        repository=str(repository),
        values=form,
        projects=offered_projects(db.session(), principal(), members_only=False),
        before=copies.latest(db.session(), str(repository), actor().name),
        errors=errors,
    )
    return page, 422 if errors else 200


def _read_form(repository: RepositoryName) -> CopyForm:
    values = request.values
    return CopyForm(
        project=values.get("project", "")[:512],
        image=values.get("image", str(repository))[:512],
        attached=request.method == "GET" or bool(values.get("attached")),
    )
