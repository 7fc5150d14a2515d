"""Pages to rename or move a namespace, project, or image: plan, confirm, watch, and cancel.

After a move, clients can still pull from the old path until a grace period ends.
"""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..access import Permission
from ..errors import Denied, Invalid
from ..http.identity import actor, login_required, principal, registry_host
from ..http.loaders import ResolvedPlace, load, load_image, load_move
from ..http.query_args import crumbs
from ..jobs.queue import enqueue
from ..models import ContainerImage, Move
from ..moves import requests, unmoved_tags
from ..moves import service as moves

blueprint = Blueprint("moves", __name__)

Answer = str | Response | tuple[str, int]

MOVE_URL = "/<name:path>/-/moves/<int(max=2147483647):move_id>"


@blueprint.route("/<name:path>/-/move", methods=["GET", "POST"])
@login_required
def move_place(path: str) -> Answer:
    """Show the form to rename or move a namespace or project; on POST, store a plan of the move."""
    return _render_form(load(path, Permission.REMOVE), None)


@blueprint.route("/<name:path>/-/images/-/move", defaults={"name": ""}, methods=["GET", "POST"])
@blueprint.route("/<name:path>/-/images/<name:name>/-/move", methods=["GET", "POST"])
@login_required
def move_image(path: str, name: str) -> Answer:
    """Show the form to rename an image or change its project; on POST, store a plan of the move."""
    loaded, image = load_image(path, name, Permission.DELETE)
    return _render_form(loaded, image)


def _render_form(loaded: ResolvedPlace, image: ContainerImage | None) -> Answer:
    path, errors, status = loaded.place.path, dict[str, str](), 200
    obstacle: Invalid | Denied | None = None
    source = image.path if image else path
    target = request.values.get("target", source).strip().strip("/")[:300]
    if request.method == "POST":
        try:
            role = loaded.acting_role
            move_request = requests.MoveRequest(loaded.place, image, target, role)
            planned = requests.plan(actor(), principal(), move_request)
        except (Invalid, Denied) as error:
            errors = dict(getattr(error, "errors", {}))
            obstacle = None if errors else error
            status = error.status if isinstance(error, Invalid) else 422
        else:
            return redirect(url_for("moves.show", path=path, move_id=planned.id))
    page = render_template(
        "move_form.html",
        place=loaded.place,
        crumbs=crumbs(path),
        image=image,
        source=source,
        target=target,
        days=moves.grace_days(),
        minutes=requests.minutes(),
        errors=errors,
        obstacle=obstacle,
        can=loaded.can,
    )
    return page, status


@blueprint.get(MOVE_URL)
@login_required
def show(path: str, move_id: int) -> str:
    """Show a move: its plan, progress, and report, and the state of its old path."""
    move, loaded = load_move(path, move_id)
    return _render_move(move, loaded, {})


def _render_move(move: Move, loaded: ResolvedPlace, errors: dict[str, str]) -> str:
    plan = requests.plan_for(principal(), move)
    return render_template(
        "move.html",
        place=loaded.place,
        crumbs=crumbs(loaded.place.path),
        path=loaded.place.path,
        move=move,
        plan=plan,
        example=moves.example_pull(plan) if move.state == "planned" else "",
        repositories=moves.repositories_of(move),
        states=moves.states_of(move),
        progress=moves.progress_of(move),
        unmoved=unmoved_tags.list_unmoved(move),
        unmoved_count=unmoved_tags.count_unmoved(move),
        unmoved_advice=unmoved_tags.ADVICE,
        quiet_at=requests.quiet_at(move),
        minutes=requests.minutes(),
        days=moves.grace_days(),
        host=registry_host(),
        errors=errors,
        can=loaded.can,
    )


@blueprint.post(MOVE_URL + "/confirm")
@login_required
def confirm(path: str, move_id: int) -> Answer:
    """Start a planned move, if the user confirms it by typing the old path."""
    move, loaded = load_move(path, move_id)
    if request.form.get("confirm", "").strip() != move.source:
        return _render_move(move, loaded, {"confirm": f"Type {move.source} to confirm."}), 422
    requests.require_rights(principal(), move)
    try:
        moves.confirm(actor(), move.id, leave_out=bool(request.form.get("leave_out")))
    except Invalid as error:
        if "leave_out" not in error.errors:
            raise
        return _render_move(move, loaded, error.errors), 422
    return _enqueue_and_redirect(path, move)


@blueprint.post(MOVE_URL + "/cancel")
@login_required
def cancel(path: str, move_id: int) -> Response:
    """Cancel a move that has started, or discard a planned move."""
    move, _ = load_move(path, move_id)
    moves.cancel(actor(), move.id)
    return _enqueue_and_redirect(path, move)


@blueprint.post(MOVE_URL + "/retry")
@login_required
def retry(path: str, move_id: int) -> Response:
    """Queue a failed move for the worker again."""
    move, _ = load_move(path, move_id)
    requests.require_rights(principal(), move)
    moves.retry(actor(), move.id)
    return _enqueue_and_redirect(path, move)


@blueprint.post(MOVE_URL + "/retire")
@login_required
def retire(path: str, move_id: int) -> Response:
    """Delete a move's old path now, before its grace period ends.

    If the form field ``everything`` is set, content that the new path lacks is deleted, too.
    """
    move, _ = load_move(path, move_id)
    moves.retire_now(actor(), move.id, everything=bool(request.form.get("everything")))
    return _enqueue_and_redirect(path, move)


@blueprint.post(MOVE_URL + "/keep")
@login_required
def keep(path: str, move_id: int) -> Response:
    """Extend the grace period in which clients can pull from the old path of a move."""
    move, _ = load_move(path, move_id)
    extended = moves.extend_grace_period(actor(), move.id)
    flash(f"{extended.source} can be pulled until {extended.grace_until:%-d %B %Y}.", "success")
    return redirect(url_for("moves.show", path=path, move_id=move.id))


def _enqueue_and_redirect(path: str, move: Move) -> Response:
    enqueue("run_move", move.id)
    return redirect(url_for("moves.show", path=path, move_id=move.id))
