"""Pages to copy tags of an image to a different image: form, plan, progress, and report."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission
from ..copies import service as copies
from ..copies.authorization import offered_projects, require
from ..copies.plan import CopyPlan
from ..copies.request import CopyForm, plan_copy_form
from ..db.session import db
from ..errors import Invalid
from ..http.identity import actor, login_required, principal
from ..http.loaders import load_copy, load_copy_target, load_image
from ..http.query_args import crumbs
from ..jobs.queue import enqueue
from ..models import Copy
from ..operations import runner
from ..operations.write_freeze import AWAITED_EVENTS
from ..projects import listing
from ..tags.selection import UnknownTags

blueprint = Blueprint("copies", __name__)

#: Maximum number of lines of a copy's report that the page shows.
MAX_LINES = 200
#: Maximum number of tags that a user can choose by name; ``all`` copies any number of tags.
MAX_CHOSEN = 1000


@blueprint.route("/<name:path>/-/images/-/copy", defaults={"name": ""}, methods=["GET", "POST"])
@blueprint.route("/<name:path>/-/images/<name:name>/-/copy", methods=["GET", "POST"])
@login_required
def copy_tags(path: str, name: str) -> str | Response | tuple[str, int]:
    """Show the form to copy tags of an image; on POST, plan the copy.

    The plan is stored and shown; nothing is copied until it is confirmed.
    """
    loaded, row = load_image(path, name, Permission.PULL)
    form, errors = _read_form(path, name), {}
    chosen = list(form.chosen)
    if request.method == "POST":
        try:
            target = load_copy_target(form.project)
            planned = plan_copy_form(form, row, target, principal(), actor())
        except UnknownTags as error:
            errors = {"form": error.errors["tags"]}
            chosen = [name for name in chosen if name not in error.names]
        except Invalid as error:
            errors = error.errors or {"form": error.message}
        else:
            return redirect(_url_from_copy(planned))
    page = render_template(
        "copy_tags.html",
        project=loaded.project,
        crumbs=crumbs(path),
        image=listing.image_row(row),
        values=form,
        chosen=chosen,
        everything=bool(request.values.get("all")),
        tag=form.tag or (chosen[0] if len(chosen) == 1 else ""),
        projects=offered_projects(db.session(), principal()),
        before=copies.latest(db.session(), row.path, actor().name),
        errors=errors,
    )
    return page, 422 if errors else 200


def _read_form(path: str, name: str) -> CopyForm:
    """Return the values of the copy form; the target defaults to the source image.

    Args:
        path: path of the source project.
        name: name of the source image below the project; empty for the root image.
    """
    values = request.values
    everything = bool(values.get("all"))
    return CopyForm(
        project=values.get("project", path)[:512],
        image=values.get("image", name)[:512],
        tag=values.get("tag", "")[:256],
        chosen=() if everything else values.getlist("chosen")[:MAX_CHOSEN],
        q=values.get("q", "").strip()[:128] if everything else "",
        attached=request.method == "GET" or bool(values.get("attached")),
    )


def _url_from_copy(copy: Copy) -> str:
    return url_for("copies.show", path=copy.project_path, copy_id=copy.id)


@blueprint.get("/<name:path>/-/copies/<int(max=2147483647):copy_id>")
@login_required
def show(path: str, copy_id: int) -> str:
    """Show a copy of tags: its plan, progress, and report."""
    row, project = load_copy(path, copy_id)
    freeze = runner.find_blocking_freeze(db.session(), Copy, row.id)
    return render_template(
        "copy.html",
        project=project,
        crumbs=crumbs(path),
        path=path,
        copy=row,
        waits_until=AWAITED_EVENTS[freeze.reason] if freeze else "",
        plan=CopyPlan.of_preview(row.preview),
        outcomes=runner.outcomes_of(row),
        report=copies.lines_of(row, MAX_LINES),
    )


@blueprint.post("/<name:path>/-/copies/<int(max=2147483647):copy_id>/confirm")
@login_required
def confirm(path: str, copy_id: int) -> Response:
    """Start a planned copy of tags, exactly as shown in its plan."""
    row, _ = load_copy(path, copy_id)
    require(db.session(), principal(), row.source, row.target)
    overwrite = bool(request.form.get("overwrite"))
    enqueue("run_copy", copies.start_planned(actor(), row.id, overwrite=overwrite).id)
    return redirect(_url_from_copy(row))


@blueprint.post("/<name:path>/-/copies/<int(max=2147483647):copy_id>/cancel")
@login_required
def cancel(path: str, copy_id: int) -> Response:
    """Stop a running copy before its next tag, or discard a planned copy."""
    row, _ = load_copy(path, copy_id)
    copies.cancel(actor(), row.id)
    return redirect(_url_from_copy(row))
