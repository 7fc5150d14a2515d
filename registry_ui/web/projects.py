"""Pages for namespaces and projects: view, create, settings, members, and delete."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import func, select, true
from werkzeug.wrappers import Response

from ..access import Permission, Visibility, path_access, permissions, visible_places
from ..catalog.images import is_listed
from ..catalog.pull_through import permitted
from ..catalog.push_log import has_pushes
from ..catalog.tree import SORTS, tree_view
from ..db.session import db
from ..errors import Conflict, Denied, Invalid, NotFound
from ..http.identity import actor, login_required, principal
from ..http.loaders import ResolvedPlace, load, load_owner
from ..http.query_args import crumbs, page_number, search_text, sort_order
from ..jobs.queue import enqueue
from ..models import ContainerImage, Project, User
from ..moves import service as moves
from ..names import RepositoryName
from ..projects import listing, service, tag_rules
from ..removals.planner import plan_namespace, plan_project
from ..removals.service import find_obstacle, start
from ..tags.enforcement import GateState, gate_state
from ..trash import service as trash
from .addresses import image_url
from .admin_reports import unassigned_count
from .form_options import role_options

blueprint = Blueprint("projects", __name__)

Answer = str | Response | tuple[str, int]


@blueprint.get("/")
def home() -> str:
    """Show the user's own projects, or all projects the visitor can see, with the latest pushes."""
    caller, q = principal(), search_text()
    own_places = visible_places(db.session(), caller, members_only=True)
    show = "all" if caller.is_anonymous else request.args.get("show", "")
    if show not in {"yours", "all"}:
        has_own = db.session.scalar(select(Project.id).where(own_places).limit(1))
        show = "yours" if has_own else "all"
    condition = own_places if show == "yours" else true()
    rows, page = listing.projects(db.session(), caller, condition, q, page_number())
    return render_template(
        "home.html",
        projects=rows,
        page=page,
        q=q,
        namespaces=listing.namespaces(db.session(), caller, None, page_number("groups")),
        pushes=listing.recent_pushes(db.session(), caller, condition),
        show=show,
        can_create=not caller.is_anonymous,
        unassigned=unassigned_count() if caller.is_admin else 0,
    )


@blueprint.get("/<name:path>")
def show(path: str) -> str | Response:
    """Show a namespace or project; redirect a repository path to the image's page."""
    try:
        loaded = load(path)
    except NotFound:
        owner = load_owner(path).place.path
        return redirect(image_url(owner, RepositoryName(path).below(owner)))
    return _render_project(loaded) if loaded.place.kind == "project" else _render_namespace(loaded)


@blueprint.get("/<name:path>/")
def show_slash(path: str) -> Response:
    """Redirect an address with a trailing slash to the page of the namespace or project."""
    return redirect(url_for("projects.show", path=path))


def _render_namespace(loaded: ResolvedPlace) -> str:
    caller, place = principal(), loaded.place
    rows, page = listing.projects(
        db.session(),
        caller,
        Project.parent_id == place.id,
        number=page_number(),
    )
    return render_template(
        "namespace.html",
        namespace=place,
        crumbs=crumbs(place.path),
        namespaces=listing.namespaces(db.session(), caller, place, page_number("groups")),
        projects=rows,
        page=page,
        pushes=listing.recent_pushes(db.session(), caller, listing.within(place.path)),
        old_paths=moves.old_paths_of(place) if Permission.CONFIGURE in loaded.can else [],
        under_way=moves.under_way(place) if Permission.CONFIGURE in loaded.can else [],
        role=loaded.role,
        can=loaded.can,
    )


def _render_project(loaded: ResolvedPlace) -> str:
    project = loaded.project
    images = listing.sized_images(db.session(), project)
    can, cached = permitted(loaded.can)
    oldest = db.session.scalar(
        select(func.min(ContainerImage.reconciled_at)).where(
            ContainerImage.project_id == project.id, is_listed()
        )
    )
    return render_template(
        "project.html",
        project=project,
        crumbs=crumbs(project.path),
        role=loaded.role,
        can=can,
        cached=cached,
        old_paths=moves.old_paths_of(project) if Permission.CONFIGURE in loaded.can else [],
        under_way=moves.under_way(project) if Permission.CONFIGURE in loaded.can else [],
        tree=tree_view(images, "", search_text(), *sort_order(SORTS, "name")),
        was_pushed_to=not images and has_pushes(db.session(), project),
        links_trash=not images and Permission.DELETE in can and trash.has_tags_in(project),
        pushes=listing.recent_pushes(
            db.session(), principal(), ContainerImage.project_id == project.id
        ),
        fresh_at=oldest,
        violations=tag_rules.violations_of(project) if Permission.PUSH in loaded.can else [],
        gate=_read_gate_state(loaded),
    )


def _read_gate_state(loaded: ResolvedPlace) -> GateState:
    """Return whether the gate enforces a project's protection rules, for the project page.

    The gate is the part of this application that a reverse proxy asks before it forwards a push
    or deletion. The result is WORKS, for which the page shows no warning, if the project has no
    protection rules or the caller can't push.
    """
    if Permission.PUSH not in loaded.can or not tag_rules.has_rules(loaded.project):
        return GateState.WORKS
    return gate_state(db.session(), loaded.project.id)


@blueprint.route("/-/new/namespace", methods=["GET", "POST"])
@login_required
def new_namespace() -> Answer:
    """Show the form for a new namespace; on POST, create it.

    Any user can create a namespace at the top level, Maintainers of a namespace in that namespace.
    """
    return _show_or_create("namespace")


@blueprint.route("/-/new/project", methods=["GET", "POST"])
@login_required
def new_project() -> Answer:
    """Show the form for a new project; on POST, create it.

    Maintainers of a namespace can create a project in it, administrators also at the top level.
    """
    return _show_or_create("project")


def _show_or_create(kind: str) -> Answer:
    form = request.form
    parent = request.values.get("parent", "").strip().strip("/")
    errors: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            path = _create(kind, parent, form.get("name", "").strip())
        except (Invalid, Denied) as error:
            errors = dict(getattr(error, "errors", {})) or {"parent": error.message}
            status = error.status if isinstance(error, Invalid) else 422
        else:
            flash(f"The {kind} “{path}” was created.", "success")
            return redirect(url_for("projects.show", path=path))
    page = render_template(
        f"new_{kind}.html",
        parent=parent,
        at_top="parent" in request.values and not parent,
        parents=listing.creatable_parents(db.session(), principal()),
        values={
            "name": request.values.get("name", ""),
            "description": form.get("description", ""),
            "visibility": form.get("visibility", Visibility.PRIVATE),
        },
        errors=errors,
    )
    return page, status


def _create(kind: str, parent: str, name: str) -> str:
    """Create a namespace or project, if the caller is allowed to, and return its path.

    Args:
        kind: ``namespace`` or ``project``.
        parent: path of the namespace above; empty for the top level.
        name: name of the new namespace or project.

    Raises:
        Invalid: the name or the parent namespace can't be used.
        Denied: the caller may not create this path.
    """
    if not name:
        raise Invalid("A name is needed.", {"name": "Give it a name."})
    path = service.path_below(parent, name)
    if parent:
        try:
            load(parent, Permission.CREATE)
        except NotFound:
            message = f"There is no namespace “{parent[:255]}”. Create it first."
            raise Invalid(f"The {kind} was not created.", {"parent": message}) from None
    elif not principal().is_admin:
        if kind == "project":
            raise Invalid(
                "A project lies in a namespace.",
                {"parent": "Choose the namespace that holds it, or create one first."},
            )
        service.require_unclaimed(path)
    description = request.form.get("description", "")
    owner = db.session.get(User, principal().user_id)
    if kind == "namespace":
        service.create_namespace(actor(), path, description, owner)
    else:
        visibility = request.form.get("visibility", Visibility.PRIVATE)
        service.create_project(actor(), path, visibility, description, owner)
        enqueue("adopt_below", path)
    return path


@blueprint.route("/<name:path>/-/settings", methods=["GET", "POST"])
@login_required
def settings(path: str) -> Answer:
    """Show the form with the settings of a namespace or project; on POST, change them."""
    loaded = load(path, Permission.CONFIGURE)
    place, errors, status = loaded.place, dict[str, str](), 200
    values = {"description": place.description, "visibility": place.visibility}
    if request.method == "POST":
        values = {
            "description": request.form.get("description", ""),
            "visibility": request.form.get("visibility", place.visibility),
        }
        try:
            service.change_settings(actor(), path, str(values["description"]), values["visibility"])
        except Invalid as error:
            errors, status = error.errors, error.status
        else:
            flash("The settings were saved.", "success")
            return redirect(url_for("projects.settings", path=path))
    page = render_template(
        "settings.html",
        node=place,
        crumbs=crumbs(path),
        values=values,
        errors=errors,
        can=loaded.can,
    )
    return page, status


@blueprint.route("/<name:path>/-/members", methods=["GET", "POST"])
@login_required
def members(path: str) -> Answer:
    """List the members of a namespace or project; on POST, add a member, as only Owners can."""
    loaded = load(path)
    form, errors, status = request.form, dict[str, str](), 200
    if Permission.LIST_MEMBERS not in loaded.can:
        raise NotFound  # Only members can see who the members are.
    if request.method == "POST":
        load(path, Permission.ADMINISTER)
        try:
            role = service.validate_role(form.get("role", ""))
            service.add_member(actor(), path, form.get("username", ""), role)
        except Invalid as error:
            errors, status = error.errors, error.status
        else:
            flash(f"{form['username']} is now {role.label} here.", "success")
            return redirect(url_for("projects.members", path=path))
    page = render_template(
        "members.html",
        node=loaded.place,
        crumbs=crumbs(path),
        members=listing.members(db.session(), loaded.place),
        can=loaded.can,
        roles=role_options(),
        errors=errors,
        values={"username": form.get("username", ""), "role": form.get("role", "developer")},
    )
    return page, status


@blueprint.post("/<name:path>/-/members/<name:username>")
@login_required
def change_member(path: str, username: str) -> Response:
    """Change the role of a direct member of a namespace or project, or remove the member."""
    load(path, Permission.ADMINISTER)
    is_removal = bool(request.form.get("remove"))
    role = None if is_removal else service.validate_role(request.form.get("role", ""))
    is_admin = principal().is_admin
    try:
        has_owner = service.change_member(
            actor(), path, username, role, may_leave_no_owner=is_admin
        )
    except Conflict as error:
        flash(f"{error.message} {error.hint}", "error")
        return redirect(url_for("projects.members", path=path))
    change = f"is now {role.label} here" if role else "is no longer a member here"
    flash(f"{username} {change}.", "success")
    if not has_owner:
        flash(f"{path} has no Owner. Only administrators can manage it.", "warning")
    caller_permissions = permissions(principal(), path_access(db.session(), principal(), path))
    # Callers who removed themselves may have lost access to the list of members or to everything.
    if Permission.LIST_MEMBERS in caller_permissions:
        return redirect(url_for("projects.members", path=path))
    if Permission.SEE in caller_permissions:
        return redirect(url_for("projects.show", path=path))
    return redirect(url_for("projects.home"))


@blueprint.route("/<name:path>/-/delete", methods=["GET", "POST"])
@login_required
def delete(path: str) -> Answer:
    """Show the preview for deleting a project or namespace with its content; on POST, delete it."""
    loaded = load(path, Permission.REMOVE)
    is_project = loaded.place.kind == "project"
    role = loaded.acting_role
    plan = (
        plan_project(loaded.project, role=role) if is_project else plan_namespace(path, role=role)
    )
    errors: dict[str, str] = {}
    if request.method == "POST":
        if request.form.get("confirm", "") != path:
            errors["confirm"] = f"Type {path} to confirm."
        elif request.form.get("digest", plan.digest) != plan.digest:
            errors["digest"] = "Something was pushed since you saw the preview. Look again."
        elif plan.steps:
            service.require_not_personal(loaded.place)
            removal = start(actor(), plan, loaded.place)
            enqueue("run_removal", removal.id)
            return redirect(url_for("removals.show", path=path, removal_id=removal.id))
        else:
            service.remove_namespace(actor(), path)
            flash(f"The namespace “{path}” was deleted.", "success")
            return redirect(url_for("projects.home"))
    page = render_template(
        "removal_preview.html",
        project=loaded.place,
        crumbs=crumbs(path),
        plan=plan,
        obstacle=find_obstacle(db.session(), plan.kind, path, loaded.place),
        confirm_text=path,
        action=url_for("projects.delete", path=path),
        back=url_for("projects.settings", path=path),
        errors=errors,
        can=loaded.can,
    )
    return page, 422 if errors else 200
