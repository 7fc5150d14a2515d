"""Registry views: images as folders, their tags live, one tag, reconcile."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import login_required
from werkzeug.wrappers import Response

from ..access import Right
from ..catalog.detail import tag_view
from ..catalog.reconcile import reconcile as reconcile_repository
from ..catalog.reconcile import want_if_stale
from ..catalog.tags import PER_PAGE, SORTS, Query, TagTable, tag_table
from ..catalog.trees import build_tree
from ..errors import NotFound
from ..extensions import db
from ..jobs import enqueue
from ..models import ContainerImage
from ..names import RepositoryName, TagName
from ..pages import Page, crumbs, page_number
from ..projects import listing
from ..security import load, load_image, registry_host

blueprint = Blueprint("registry", __name__)

#: Rows that a tree shows of one image; the image's page has the rest.
TREE_ROWS = 20
#: So many ticks of other pages are carried along in the URL.
MAX_CHOSEN = 200


@blueprint.get("/<name:path>/-/images", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>")
def image(path: str, name: str) -> str:
    """Show an image or a folder of images: its children and its tags together."""
    loaded = load(path)
    tree = build_tree(listing.images(db.session(), loaded.project))
    folder = tree.find(name)
    if folder is None or (not name and folder.image is None):
        raise NotFound
    query = _query()
    table, page = TagTable([], 0, None, None), Page(1, 1, 0)
    if folder.image is not None:
        _, row = load_image(path, name)
        table = tag_table(row, query, registry_host())
        page = Page.of(query.page, table.total, PER_PAGE)
        if want_if_stale(row):
            enqueue("reconcile_wanted")
    return render_template(
        "image.html",
        project=loaded.project,
        crumbs=crumbs(path),
        folder=folder,
        image=folder.image,
        rows=table.rows,
        error=table.error,
        fresh_at=table.fresh_at,
        page=page,
        q=query.q,
        sort=query.sort,
        order=query.order,
        chosen=request.args.getlist("chosen")[:MAX_CHOSEN],
        can=loaded.can,
    )


@blueprint.get("/<name:path>/-/images/-/rows", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/rows")
def tag_rows(path: str, name: str) -> str:
    """Return the first tags of an image, for the tree to open in place."""
    loaded, row = load_image(path, name)
    table = tag_table(row, Query(), registry_host())
    return render_template(
        "_tag_rows.html",
        project=loaded.project,
        image=listing.image_row(row),
        rows=table.rows[:TREE_ROWS],
        error=table.error,
        more=max(0, table.total - TREE_ROWS),
        can=loaded.can,
    )


@blueprint.get("/<name:path>/-/tags/<tag:tag>", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/tags/<tag:tag>")
def tag(path: str, name: str, tag: str) -> str:
    """Show one tag as the registry has it now."""
    loaded, row = load_image(path, name)
    platform = request.args.get("platform", "")
    view, fresh_at, error = tag_view(row, TagName(tag), platform, registry_host())
    if str(Right.PULL) not in loaded.can:
        view.leave_out_content()
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


def _query() -> Query:
    sort = request.args.get("sort", "name")
    return Query(
        q=request.args.get("q", "").strip()[:128],
        sort=sort if sort in SORTS else "name",
        order="desc" if request.args.get("order") == "desc" else "asc",
        page=page_number(),
    )
