"""Pages for folders of images, an image with its tags, and a single tag.

To reconcile an image is to correct the index (the database's copy of the registry's tags).
"""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission
from ..catalog import tree
from ..catalog.live_tags import damaged_tags
from ..catalog.pull_through import permitted
from ..catalog.reconcile import reconcile as reconcile_repository
from ..catalog.reconcile import request_reconcile_if_stale
from ..catalog.tree import ImageRow, build_tree, tree_view
from ..db.session import db
from ..enumerations import name_some
from ..errors import NotFound
from ..http.identity import login_required, principal, registry_host
from ..http.loaders import ResolvedPlace, image_in, load, load_image, load_owner
from ..http.query_args import crumbs, page_number, search_text, sort_order
from ..jobs.queue import enqueue
from ..models import ContainerImage
from ..moves import service as moves
from ..names import RepositoryName, TagName
from ..pagination import Page
from ..projects import listing
from ..registry_connection import NOTHING_CHANGED, REGISTRY_ERROR
from ..tag_detail import TagViewOptions, tag_view
from ..tags.queries import tag_reaching
from ..tags.table import SORTS, TableQuery, TagTable, tag_row, tag_table
from ..trash import service as trash
from .addresses import image_url

blueprint = Blueprint("registry", __name__)

#: Maximum number of tags that a project's image tree shows for one image, newest push first.
TREE_ROWS = 20
#: Maximum number of checked tags that the query string keeps from page to page of a tag list.
MAX_CHOSEN = 200


@blueprint.get("/<name:path>/-/images", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>")
def image(path: str, name: str) -> str:
    """Show an image with its tags and the images below it; a folder if it only has images."""
    loaded = load(path)
    images = listing.sized_images(db.session(), loaded.project, name)
    if not images:
        raise NotFound
    image_row = next((image for image in images if image.name == name), None)
    if image_row is None:
        return _render_folder(loaded, name, images)
    can, cached = permitted(loaded.can)
    row = image_in(loaded, name)
    sort, order = sort_order(SORTS, "name")
    query = TableQuery(search_text(), sort, order, page_number())
    table = tag_table(row, query, registry_host())
    if request_reconcile_if_stale(row):
        enqueue("reconcile_wanted")
    return render_template(
        "image.html",
        project=loaded.project,
        crumbs=crumbs(path),
        folder=build_tree(images).find(name),
        image=image_row,
        rows=table.rows,
        damaged=damaged_tags(row.id),
        error=table.error,
        orphans=table.orphans,
        unusable=table.unusable,
        fresh_at=table.fresh_at,
        page=Page.of(query.page, table.total, query.per_page),
        q=query.q,
        sort=query.sort,
        order=query.order,
        old_paths=moves.old_paths_of_image(row) if Permission.CONFIGURE in loaded.can else [],
        chosen=request.args.getlist("chosen")[:MAX_CHOSEN],
        can=can,
        cached=cached,
        links_trash=_links_trash(table, can, row),
    )


def _links_trash(
    table: TagTable, permissions: frozenset[Permission], image: ContainerImage
) -> bool:
    """Return whether an empty tag table links to the trash: if that has tags of the image."""
    return not table.rows and Permission.DELETE in permissions and trash.has_tags_of(image)


def _render_folder(loaded: ResolvedPlace, name: str, images: list[ImageRow]) -> str:
    return render_template(
        "folder.html",
        project=loaded.project,
        crumbs=crumbs(loaded.place.path),
        name=name,
        tree=tree_view(images, name, search_text(), *sort_order(tree.SORTS, "name")),
    )


@blueprint.get("/<name:path>/-/images/-/rows", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/rows")
def tag_rows(path: str, name: str) -> str:
    """Return the newest tags of an image as an HTML fragment for the project's image tree."""
    loaded, row = load_image(path, name)
    newest = TableQuery(sort="pushed", order="desc", per_page=TREE_ROWS)
    table = tag_table(row, newest, registry_host())
    can, _ = permitted(loaded.can)
    return render_template(
        "_tag_rows.html",
        project=loaded.project,
        image=listing.image_row(row),
        rows=table.rows,
        error=table.error,
        more=max(0, table.total - TREE_ROWS),
        can=can,
        links_trash=_links_trash(table, can, row),
    )


@blueprint.get("/<name:path>/-/images/-/rows/<tag:tag>", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/rows/<tag:tag>")
def one_row(path: str, name: str, tag: str) -> str:
    """Return one tag's table row as an HTML fragment, to retry a tag that could not be loaded."""
    loaded, row = load_image(path, name)
    return render_template(
        "_tag_row.html",
        project=loaded.project,
        image=listing.image_row(row),
        row=tag_row(row, TagName(tag), registry_host()),
        can=permitted(loaded.can)[0],
    )


@blueprint.get("/<name:path>:<tag:tag>")
def reference(path: str, tag: str) -> Response:
    """Redirect an address that ends in a reference (``image:tag``) to the tag's page."""
    owner = load_owner(path).place.path
    return redirect(image_url(owner, RepositoryName(path).below(owner), "registry.tag", tag=tag))


@blueprint.get("/<name:path>@<digest:digest>")
@blueprint.get("/<name:path>:<tag:_tag>@<digest:digest>")
def digest_reference(path: str, digest: str, _tag: str = "") -> Response:
    """Redirect a reference with a digest to the page of a tag that refers to the digest.

    Such a tag points to the digest, points to an OCI index that lists the digest, or pointed to
    the digest earlier. A tag in the reference is ignored, because the digest takes precedence.
    """
    loaded = load_owner(path)
    owner = loaded.place.path
    name = RepositoryName(path).below(owner)
    hit = tag_reaching(image_in(loaded, name).id, digest)
    if hit is None:
        raise NotFound
    url_values = {
        "platform": {"platform": digest},
        "earlier": {"history": "all", "_anchor": "moments"},
    }
    return redirect(
        image_url(owner, name, "registry.tag", tag=hit[0], **url_values.get(hit[1], {}))
    )


@blueprint.get("/<name:path>/-/tags/<tag:tag>", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/tags/<tag:tag>")
def tag(path: str, name: str, tag: str) -> str:
    """Show one tag as it is in the registry now; as last known if the registry can't be asked."""
    loaded, row = load_image(path, name)
    options = TagViewOptions(
        platform=request.args.get("platform", ""),
        content=Permission.PULL in loaded.can,
        all_moments=request.args.get("history") == "all",
        reader=principal(),
    )
    view, fresh_at, error = tag_view(row, TagName(tag), options, registry_host())
    return render_template(
        "tag.html",
        project=loaded.project,
        crumbs=crumbs(path),
        image=listing.image_row(row),
        tag=view,
        can=permitted(loaded.can)[0],
        fresh_at=fresh_at,
        error=error,
    )


@blueprint.post("/<name:path>/-/images/-/reconcile", defaults={"name": ""})
@blueprint.post("/<name:path>/-/images/<name:name>/-/reconcile")
@login_required
def reconcile(path: str, name: str) -> Response:
    """Reconcile an image now: compare its tags in the database with those in the registry.

    The request requires permission to push, because it costs a registry call for each tag.
    """
    _, row = load_image(path, name, Permission.PUSH)
    outcome = reconcile_repository(RepositoryName(row.path))
    if outcome.error:
        flash(f"{REGISTRY_ERROR.format(outcome.error)} {NOTHING_CHANGED}", "error")
    elif outcome.unanswered:
        names = name_some(outcome.unanswered)
        flash(f"The registry does not answer for {names} now. The others were compared.", "error")
    else:
        flash(f"Compared with the registry: {outcome}.", "success")
    if db.session.get(ContainerImage, row.id, populate_existing=True) is None:
        return redirect(url_for("projects.show", path=path))
    return redirect(url_for("registry.image", path=path, name=name))
