"""Page for the storage usage of a namespace, project, or image."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import ColumnElement, select
from werkzeug.wrappers import Response

from ..access import Permission, Role, at_or_below, visible_places
from ..db.session import db
from ..errors import NotFound
from ..http.identity import login_required, principal
from ..http.loaders import ResolvedPlace, load, load_image
from ..http.query_args import crumbs
from ..jobs.queue import enqueue
from ..models import ContainerImage, Place, Project
from ..storage_usage.survey import UsageScan, summarize_usage

blueprint = Blueprint("storage", __name__)


@blueprint.get("/<name:path>/-/storage")
def show(path: str) -> str:
    """Show the storage usage of a namespace, project, or image, divided into its parts.

    The parts are projects, images, or tags. Projects that the visitor can't see are left out.
    """
    loaded = load(path)
    image = _load_requested_image(loaded)
    scope, pullable = _condition_from_place(loaded.place), _find_pullable_projects(loaded)
    by = "image" if loaded.place.kind == "project" else "project"
    if image is not None:
        scope, by = ContainerImage.id == image.id, "tag"
    scan = UsageScan(db.session(), scope)
    return render_template(
        "storage.html",
        node=loaded.place,
        image=image,
        by=by,
        crumbs=crumbs(path),
        can=loaded.can,
        usage=summarize_usage(db.session(), scan, by=by, open_projects=pullable),
    )


@blueprint.post("/<name:path>/-/storage/read")
@login_required
def read(path: str) -> Response:
    """Ask the worker to read the manifests of tags whose storage usage is not known yet.

    The request requires permission to push, because reading costs registry calls for each tag.
    """
    load(path, Permission.PUSH)
    enqueue("read_contents", path)
    flash("The worker reads what is not known yet. Reload this page to see how far it is.", "info")
    return redirect(url_for("storage.show", path=path))


def _load_requested_image(loaded: ResolvedPlace) -> ContainerImage | None:
    """Return the image whose repository the query string names, or None if it names none.

    Raises:
        NotFound: the page is about a namespace, the repository is not in the project, or the
            database has no such image.
    """
    repository = request.args.get("image", "")
    if not repository:
        return None
    path = loaded.project.path
    if repository != path and not repository.startswith(f"{path}/"):
        raise NotFound
    return load_image(path, repository[len(path) + 1 :])[1]


def _condition_from_place(place: Place) -> ColumnElement[bool]:
    """Return the SQL condition for those projects in a place that the visitor can see.

    A place is a namespace or project. For a project, the condition selects that project.
    """
    if isinstance(place, Project):
        return Project.id == place.id
    visible = visible_places(db.session(), principal(), Project)
    return at_or_below(Project.path, place.path) & visible


def _find_pullable_projects(loaded: ResolvedPlace) -> set[int]:
    """Return the ids of the projects in a namespace or project that the visitor can pull from."""
    place = loaded.place
    if isinstance(place, Project):
        return {place.id} if Permission.PULL in loaded.can else set()
    can_pull = visible_places(db.session(), principal(), Project, minimum=Role.REPORTER)
    query = select(Project.id).where(at_or_below(Project.path, place.path), can_pull)
    return set(db.session.scalars(query))
