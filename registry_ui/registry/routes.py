"""Registry views: images as folders, their tags live, one tag, removal, reconcile."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import login_required
from sqlalchemy import select
from werkzeug.wrappers import Response

from ..access import Right
from ..catalog import removals, trees
from ..catalog.deletion import RemovalPlan, plan_image, plan_tag, start
from ..catalog.detail import Wanted, tag_view
from ..catalog.reconcile import reconcile as reconcile_repository
from ..catalog.reconcile import want_if_stale
from ..catalog.tag_table import PER_PAGE, SORTS, Query, tag_row, tag_table
from ..catalog.trees import ImageRow, build_tree, tree_view
from ..errors import NotFound
from ..extensions import db
from ..jobs import enqueue
from ..models import ContainerImage, Removal
from ..names import RepositoryName, TagName
from ..pages import Page, crumbs, ordering, page_number, search_text
from ..projects import listing
from ..security import Loaded, actor, load, load_image, principal, registry_host

blueprint = Blueprint("registry", __name__)

Answer = str | Response | tuple[str, int]

CHANGED = "Something was pushed since you saw the preview. Look again."
#: Rows that a tree shows of one image; the image's page has the rest.
TREE_ROWS = 20


@blueprint.get("/<name:path>/-/images", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>")
def image(path: str, name: str) -> str:
    """Show an image or a folder of images: its children and its tags together."""
    loaded = load(path)
    images = listing.sized_images(db.session(), loaded.project, name)
    if not images:
        raise NotFound
    own = next((image for image in images if image.name == name), None)
    if own is None:
        return _folder(loaded, name, images)
    _, row = load_image(path, name)
    sort, order = ordering(SORTS, "name")
    query = Query(search_text(), sort, order, page_number())
    table = tag_table(row, query, registry_host())
    if want_if_stale(row):
        enqueue("reconcile_wanted")
    return render_template(
        "image.html",
        project=loaded.project,
        crumbs=crumbs(path),
        folder=build_tree(images).find(name),
        image=own,
        rows=table.rows,
        error=table.error,
        fresh_at=table.fresh_at,
        page=Page.of(query.page, table.total, PER_PAGE),
        q=query.q,
        sort=query.sort,
        order=query.order,
        can=loaded.can,
    )


def _folder(loaded: Loaded, name: str, images: list[ImageRow]) -> str:
    return render_template(
        "folder.html",
        project=loaded.project,
        crumbs=crumbs(loaded.place.path),
        name=name,
        tree=tree_view(images, name, search_text(), *ordering(trees.SORTS, "name")),
    )


@blueprint.get("/<name:path>/-/images/-/rows", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/rows")
def tag_rows(path: str, name: str) -> str:
    """Return the newest tags of an image, for the tree to open in place."""
    loaded, row = load_image(path, name)
    newest = Query(sort="pushed", order="desc", per_page=TREE_ROWS)
    table = tag_table(row, newest, registry_host())
    return render_template(
        "_tag_rows.html",
        project=loaded.project,
        image=listing.image_row(row),
        rows=table.rows,
        error=table.error,
        more=max(0, table.total - TREE_ROWS),
        can=loaded.can,
    )


@blueprint.get("/<name:path>/-/images/-/rows/<tag:tag>", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/rows/<tag:tag>")
def one_row(path: str, name: str, tag: str) -> str:
    """Return one row of a list of tags, tried again."""
    loaded, row = load_image(path, name)
    return render_template(
        "_tag_row.html",
        project=loaded.project,
        image=listing.image_row(row),
        row=tag_row(row, TagName(tag), registry_host()),
        can=loaded.can,
    )


@blueprint.get("/<name:path>/-/tags/<tag:tag>", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/tags/<tag:tag>")
def tag(path: str, name: str, tag: str) -> str:
    """Show one tag as the registry has it now."""
    loaded, row = load_image(path, name)
    wanted = Wanted(
        platform=request.args.get("platform", ""),
        content=str(Right.PULL) in loaded.can,
        all_moments=request.args.get("history") == "all",
    )
    view, fresh_at, error = tag_view(row, TagName(tag), wanted, registry_host())
    return render_template(
        "tag.html",
        project=loaded.project,
        crumbs=crumbs(path),
        image=listing.image_row(row),
        tag=view,
        can=loaded.can,
        fresh_at=fresh_at,
        error=error,
    )


@blueprint.route(
    "/<name:path>/-/tags/<tag:tag>/-/delete", defaults={"name": ""}, methods=["GET", "POST"]
)
@blueprint.route(
    "/<name:path>/-/images/<name:name>/-/tags/<tag:tag>/-/delete", methods=["GET", "POST"]
)
@login_required
def delete_tag(path: str, name: str, tag: str) -> Answer:
    """Delete one tag, and no other, after a preview."""
    loaded, row = load_image(path, name, Right.DELETE)
    plan = plan_tag(row, TagName(tag))
    place = {"path": path, "name": name}
    errors: dict[str, str] = {}
    if request.method == "POST":
        if request.form.get("digest") == plan.digest:
            removal = start(actor(), plan, loaded.project)
            done = removals.run(removal.id)
            if done is not None and done.state == "done":
                flash(f"{plan.target}: {done.report[-1]['outcome']}.", "success")
                left = db.session.get(ContainerImage, row.id, populate_existing=True)
                if left is None:
                    return redirect(url_for("projects.show", path=path))
                return redirect(url_for("registry.image", **place))
            return redirect(url_for("registry.removal", path=path, removal_id=removal.id))
        errors["digest"] = CHANGED
    return _preview(
        loaded,
        plan,
        None,
        url_for("registry.delete_tag", **place, tag=tag),
        url_for("registry.tag", **place, tag=tag),
        errors,
    )


@blueprint.route("/<name:path>/-/images/-/delete", defaults={"name": ""}, methods=["GET", "POST"])
@blueprint.route("/<name:path>/-/images/<name:name>/-/delete", methods=["GET", "POST"])
@login_required
def delete_image(path: str, name: str) -> Answer:
    """Delete an image with all its tags, after a preview and a typed confirmation."""
    loaded, row = load_image(path, name, Right.DELETE)
    plan = plan_image(row)
    errors: dict[str, str] = {}
    if request.method == "POST":
        if request.form.get("confirm") != row.path:
            errors["confirm"] = f"Type {row.path} to confirm."
        elif request.form.get("digest", plan.digest) != plan.digest:
            errors["digest"] = CHANGED
        else:
            removal = start(actor(), plan, loaded.project)
            enqueue("run_removal", removal.id)
            return redirect(url_for("registry.removal", path=path, removal_id=removal.id))
    return _preview(
        loaded,
        plan,
        row.path,
        url_for("registry.delete_image", path=path, name=name),
        url_for("registry.image", path=path, name=name),
        errors,
    )


def _preview(
    loaded: Loaded,
    plan: RemovalPlan,
    confirm_text: str | None,
    action: str,
    back: str,
    errors: dict[str, str],
) -> Answer:
    shown = request.view_args or {}
    page = render_template(
        "removal_preview.html",
        project=loaded.project,
        crumbs=crumbs(loaded.place.path),
        image_name=shown.get("name", ""),
        tag=shown.get("tag", ""),
        plan=plan,
        confirm_text=confirm_text,
        action=action,
        back=back,
        errors=errors,
        can=loaded.can,
    )
    return page, 422 if errors else 200


@blueprint.get("/<name:path>/-/removals/<int(max=2147483647):removal_id>")
@login_required
def removal(path: str, removal_id: int) -> str:
    """Show how far a removal is, and its report. It outlives the project that it removed."""
    row = db.session.scalar(
        select(Removal).where(Removal.id == removal_id, Removal.project_path == path)
    )
    if row is None:
        raise NotFound
    project = None
    if row.project_id is not None:
        project = load(path, Right.DELETE).project
        if project.id != row.project_id:
            raise NotFound  # of an earlier project at this path
    elif row.requested_by != actor().name and not principal().is_admin:
        raise NotFound
    return render_template(
        "removal.html",
        project=project,
        crumbs=crumbs(path),
        removal={
            "id": row.id,
            "kind": row.kind,
            "target": row.target,
            "state": row.state,
            "done": len(row.report),
            "total": len(row.plan),
            "requested_by": row.requested_by,
            "created_at": row.created_at,
            "finished_at": row.finished_at,
            "report": [(r["reference"], r["outcome"], r["detail"]) for r in row.report],
        },
    )


@blueprint.post("/<name:path>/-/images/-/reconcile", defaults={"name": ""})
@blueprint.post("/<name:path>/-/images/<name:name>/-/reconcile")
@login_required
def reconcile(path: str, name: str) -> Response:
    """Compare the image with the registry now. Costs a call for each tag: not for everyone."""
    _, row = load_image(path, name, Right.PUSH)
    outcome = reconcile_repository(RepositoryName(row.path))
    if outcome.error:
        flash(f"The registry could not be asked: {outcome.error}. Nothing was changed.", "error")
    else:
        flash(f"Compared with the registry: {outcome}.", "success")
    if db.session.get(ContainerImage, row.id, populate_existing=True) is None:
        return redirect(url_for("projects.show", path=path))
    return redirect(url_for("registry.image", path=path, name=name))
