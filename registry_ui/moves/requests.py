"""Permission checks for planning and confirming moves, shared by the pages and the API."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app

from ..access import PathAccess, Permission, Principal, Role, decide, path_access, role_for_rules
from ..access.reserved_paths import find_move_freeze
from ..audit import Actor
from ..db.session import db
from ..errors import Denied, Invalid
from ..models import ContainerImage, Move, Place, Project
from ..models.move import MovePreview
from ..names import NameInvalid, PlacePath
from ..operations import write_freeze
from ..projects.service import require_unclaimed
from . import service as moves
from .planner import plan_image, plan_place

ROLE_CHANGES_HIDDEN = "Only members of both projects can see whose role changes."


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """A requested move of a place (a namespace or project) or of one image.

    Attributes:
        place: the namespace or project that moves, or the project of ``image``.
        image: the image that moves, or None to move ``place``.
        target: the new path.
        role: the requester's role in ``place``, for protection rules.
    """

    place: Place
    image: ContainerImage | None
    target: str
    role: Role | None


def plan(actor: Actor, principal: Principal, request: MoveRequest) -> Move:
    """Plan a new path for a namespace, project, or image, and store the plan.

    The caller has already checked the permission to remove what is to be moved.

    Args:
        actor: the requester, for the audit log.
        principal: the requester's permissions.
        request: the requested move.

    Raises:
        Invalid: the new path cannot be used or is taken, or the requester may not create a
            namespace or project, or push an image, at the new path.
        Conflict: something at the old path is being deleted or moved.
        Denied: only administrators may create this top-level path; see require_unclaimed().
    """
    place, target = request.place, request.target
    if request.image is None:
        _require_create(principal, target)
        planned = plan_place(place, target)
    else:
        access = _require_push(principal, target)
        new_role = role_for_rules(principal, access)
        assert isinstance(place, Project)  # noqa: S101 - narrows the type
        planned = plan_image(request.image, place, target, request.role, new_role)
    return moves.save_plan(actor, planned, place)


def require_rights(principal: Principal, move: Move) -> None:
    """Raise Denied unless the user may make this move, at both its source and its target."""
    permission = Permission.DELETE if move.kind == "image" else Permission.REMOVE
    decision = decide(principal, path_access(db.session(), principal, move.source), permission)
    if not decision.allowed:
        raise Denied(f"Not allowed: {decision.rule}.")
    try:
        if move.kind == "image":
            _require_push(principal, move.target)
        else:
            _require_create(principal, move.target)
    except Invalid as error:
        raise Denied(" ".join(error.errors.values())) from None


def _require_create(principal: Principal, target: str) -> None:
    """Raise an error unless the user may create a namespace or project at the target.

    The message is the same for a namespace that is missing and for one that the user may not see.

    Raises:
        Invalid: the parent namespace is missing, or the user may not create anything in it.
        Denied: only administrators may create this top-level path; see require_unclaimed().
    """
    try:
        parent = PlacePath(target).parent
    except NameInvalid:
        return  # plan_place() reports the invalid path.
    if parent is None:
        if not principal.is_admin:
            require_unclaimed(target)
        return
    access = path_access(db.session(), principal, parent)
    if not decide(principal, access, Permission.CREATE).allowed:
        message = f"There is no namespace “{parent}” in which you may create something."
        raise Invalid("Nothing was planned.", {"target": message})


def _require_push(principal: Principal, target: str) -> PathAccess:
    access = path_access(db.session(), principal, target)
    if access.project is None or not decide(principal, access, Permission.PUSH).allowed:
        message = f"There is no project that owns “{target}” and to which you may push."
        raise Invalid("Nothing was planned.", {"target": message})
    return access


def plan_for(principal: Principal, move: Move) -> MovePreview:
    """Return the stored preview of a move, limited to what the signed-in user may see.

    For an image, the role changes reveal the members of both projects, so only administrators and
    users with a role in both projects see them.
    """
    plan = move.preview
    if move.kind != "image" or principal.is_admin:
        return plan
    session = db.session()
    if all(path_access(session, principal, path).role for path in (move.source, move.target)):
        return plan
    notes = [ROLE_CHANGES_HIDDEN] if plan["changes"] or plan["notes"] else []
    return {**plan, "changes": [], "changes_more": 0, "notes": notes}


def quiet_at(move: Move) -> datetime | None:
    """Return when the last token that was issued before the write freeze expires.

    Return None unless the move is waiting for that time (in the state ``fenced``).
    """
    if move.state != "fenced":
        return None
    freeze = find_move_freeze(db.session(), move.source)
    return write_freeze.quiet_from(freeze) if freeze is not None else None


def minutes() -> int:
    """Return the approximate number of minutes during which a move stops pushes."""
    lifetime = timedelta(seconds=current_app.config["SETTINGS"].token_lifetime)
    return math.ceil((lifetime + write_freeze.GRACE) / timedelta(minutes=1))
