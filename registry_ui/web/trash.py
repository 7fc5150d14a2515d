"""Pages for Maintainers to list, restore, and purge the deleted tags in a project's trash."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission
from ..errors import Conflict, Invalid
from ..http.identity import actor, login_required
from ..http.loaders import ResolvedPlace, load
from ..http.old_addresses import with_query
from ..http.query_args import crumbs, page_number
from ..jobs.queue import enqueue
from ..names import NameInvalid, TagName
from ..removals.purge_planner import plan_purge
from ..removals.service import save_plan
from ..trash import service as trash

blueprint = Blueprint("trash", __name__)


@blueprint.get("/<name:path>/-/trash")
@login_required
def show(path: str) -> str:
    """List the tags in the trash of a project, most recently deleted first."""
    return _render_page(load(path, Permission.DELETE))


@blueprint.get("/<name:path>/-/trash/<int(max=2147483647):entry_id>/restore")
@login_required
def restore_form(path: str, entry_id: int) -> Response:
    """Redirect a GET of the restore form's POST-only address, as on a reload, to the trash."""
    load(path, Permission.DELETE)
    return redirect(url_for("trash.show", path=path, _anchor=f"name-{entry_id}"))


@blueprint.post("/<name:path>/-/trash/<int(max=2147483647):entry_id>/restore")
@login_required
def restore(path: str, entry_id: int) -> Response | tuple[str, int]:
    """Restore a deleted tag from the trash under its old name or a new name."""
    loaded = load(path, Permission.DELETE)
    row = trash.entry(loaded.project, entry_id)
    text = request.form.get("name", "").strip() or row.tag
    try:
        trash.restore(actor(), row, TagName(text), loaded.acting_role)
    except NameInvalid as error:
        return _render_page(loaded, entry_id, text, str(error)), 422
    except (Conflict, Invalid) as error:
        return _render_page(
            loaded, entry_id, text, error.errors.get("name", error.message)
        ), error.status
    enqueue("purge_trash")
    flash(f"{row.repository}:{text} was restored.", "success")
    return redirect(url_for("trash.show", path=path))


@blueprint.post("/<name:path>/-/trash/<int(max=2147483647):entry_id>/remove")
@login_required
def remove(path: str, entry_id: int) -> Response:
    """Plan to delete one tag in the trash permanently, and show the plan, to be confirmed."""
    loaded = load(path, Permission.DELETE)
    row = trash.entry(loaded.project, entry_id)
    plan = plan_purge(f"{row.repository}:{row.tag}", [row])
    removal = save_plan(actor(), plan, loaded.project)
    return redirect(url_for("removals.show", path=path, removal_id=removal.id))


@blueprint.get("/<name:path>/-/bin")
@blueprint.route(
    "/<name:path>/-/bin/<int(max=2147483647):entry_id>/restore", methods=["GET", "POST"]
)
@blueprint.post("/<name:path>/-/bin/<int(max=2147483647):entry_id>/remove")
@login_required
def redirect_old_address(path: str, entry_id: int | None = None) -> Response:
    """Redirect an old address with ``/-/bin``, the former name of the trash, to the current one.

    The permission is checked first, so that the redirect does not reveal a hidden project. Status
    308 makes browsers repeat a POST with its form.
    """
    project = load(path, Permission.DELETE).project
    address = url_for("trash.show", path=project.path)
    if entry_id is not None:
        address += request.path.partition("/-/bin")[2]
    return redirect(with_query(address), 308)


def _render_page(
    loaded: ResolvedPlace, entry_id: int | None = None, name: str = "", error: str = ""
) -> str:
    rows, page = trash.page_of(loaded.project, page_number())
    return render_template(
        "trash.html",
        project=loaded.project,
        crumbs=crumbs(loaded.project.path),
        can=loaded.can,
        rows=rows,
        page=page,
        trash_days=trash.days(),
        tried={"id": entry_id, "name": name, "error": error},
    )
