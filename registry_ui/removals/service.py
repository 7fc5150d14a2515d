"""Lifecycle of a removal: store a plan, confirm it, and queue it.

A removal deletes tags, images, namespaces, or projects from the registry. Its plan is a list of
steps that a background worker carries out (runner.py and steps.py). While a removal is waiting or
running, no removal of the same target, of a part of it, or of something above it can start.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import REMOVAL_PERMISSIONS, Role, below
from ..access.lookup import prefixes
from ..access.reserved_paths import find_move_conflict, find_old_path_conflict, find_unfinished_move
from ..audit import Actor, record
from ..db.session import writing
from ..errors import Conflict, Denied, Invalid, Link, StateConflict
from ..models import Place, Removal
from ..names import TRASH_PREFIX
from ..projects.service import PERSONAL_NAMESPACE, is_personal
from .plan import RemovalPlan
from .rule_check import first_refusal

UNCONFIRMED_OVERRIDE = (
    "This plan sets rules aside to remove tags that can't be read. Confirm this. {}"
)


def start(actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan as a removal, queue it for the worker, and return it.

    Args:
        place: namespace or project that is removed or that contains the target.

    Raises:
        Conflict: find_obstacle() found an obstacle, such as an unfinished move.
    """
    with writing() as session:
        return add_started(session, actor, plan, place)


def add_started(session: Session, actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan as a removal to be carried out, as start() does, in the caller's transaction."""
    lock_place(session, place)
    require_no_obstacle(session, plan.kind, plan.target, place)
    removal = removal_from_plan(plan, actor, place_id=place.id, path=place.path)
    session.add(removal)
    _record_start(session, actor, removal)
    session.flush()
    return removal


def save_plan(actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan as a removal that is carried out only after start_planned() confirms it."""
    with writing() as session:
        return add_plan(session, actor, plan, place)


def add_plan(session: Session, actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan as a removal for review, within the caller's transaction."""
    removal = removal_from_plan(plan, actor, place_id=place.id, path=place.path)
    removal.state = "planned"
    session.add(removal)
    session.flush()
    return removal


def start_planned(
    actor: Actor,
    removal_id: int,
    place: Place,
    role: Role | None,
    *,
    despite_rules: bool = False,
) -> Removal:
    """Queue a stored plan for execution, exactly as previewed.

    Args:
        place: namespace or project that is removed or that contains the target.
        role: role of the user who confirms the plan, for the protection rules.
        despite_rules: confirms that the plan removes damaged tags even if they are immutable.

    Raises:
        StateConflict: the plan was already confirmed or discarded.
        Conflict: find_obstacle() found an obstacle, such as an unfinished move.
        Denied: a protection rule no longer allows this user to remove one of the tags.
        Invalid: the plan overrides protection rules, and ``despite_rules`` is False.
    """
    with writing() as session:
        lock_place(session, place)
        removal = session.get(Removal, removal_id, with_for_update=True, populate_existing=True)
        if removal is None or removal.state != "planned":
            raise StateConflict("This plan was carried out or discarded already.")
        overridden_rules = removal.preview.get("despite")
        if overridden_rules and not despite_rules:
            message = UNCONFIRMED_OVERRIDE.format(
                " ".join(f"{name}: {rule}" for name, rule in overridden_rules)
            )
            raise Invalid("Nothing was deleted.", {"despite_rules": message})
        require_no_obstacle(session, removal.kind, removal.target, place)
        refusal = first_refusal(session, place, removal.plan, role)
        if refusal is not None:
            raise Denied(f"Not allowed: {refusal}.", hint="Plan again: the plan leaves it out.")
        removal.state, removal.requested_by = "waiting", actor.name
        _record_start(session, actor, removal)
        return removal


def removal_from_plan(
    plan: RemovalPlan, actor: Actor, *, place_id: int | None, path: str
) -> Removal:
    """Return a removal that carries out a plan, in the state ``waiting``, without storing it.

    Args:
        plan: the plan. Its steps that move tags to the trash get their trash tags here.
        actor: the user who requested the removal, or the move that needs it.
        place_id: ID of the namespace or project whose activity lists the removal; None if no
            activity lists it.
        path: path in the address of the removal's page: that of the namespace or project, or the
            old path of a move if no activity lists the removal.
    """
    # A trash tag is the tag that keeps a removed image in the trash. Its random name is chosen only
    # when the plan is stored: in a preview, it would change the digest that identifies the plan.
    steps = [
        replace(step, trash_tag=TRASH_PREFIX + secrets.token_hex(8)) if step.days else step
        for step in plan.steps
    ]
    return Removal(
        kind=plan.kind,
        target=plan.target,
        project_id=place_id,
        project_path=path,
        requested_by=actor.name,
        state="waiting",
        plan=steps,
        preview=plan.preview(),
        total=len(plan.steps),
    )


def _record_start(session: Session, actor: Actor, removal: Removal) -> None:
    tags = len(removal.preview["removes"]) + removal.preview["removes_more"]
    record(session, actor, f"{removal.kind}.delete", removal.target, tags=tags)
    for reference, rule in removal.preview.get("despite", ()):
        record(session, actor, "tag.delete_despite_rule", reference, rule=rule)


def lock_place(session: Session, place: Place) -> str | None:
    """Lock the row of a namespace or project, so that removals in it start one at a time.

    Returns:
        The path that it has now; None if it was deleted.
    """
    return session.scalar(select(Place.path).where(Place.id == place.id).with_for_update())


def require_no_obstacle(session: Session, kind: str, target: str, place: Place) -> None:
    """Raise Conflict if find_obstacle() finds a reason why a removal can't start now."""
    obstacle = find_obstacle(session, kind, target, place)
    if obstacle is not None:
        raise obstacle


def find_obstacle(session: Session, kind: str, target: str, place: Place) -> Conflict | None:
    """Return the error that prevents a removal from starting now, or None if nothing does.

    Args:
        kind: kind of the removal, such as ``tag``, ``image``, or ``project``.
        target: tag reference or path to remove.
        place: namespace or project that is removed or that contains the target. The error links
            only to pages that the maintainers of ``place`` can see.
    """
    if kind == place.kind and is_personal(place):
        return Conflict(PERSONAL_NAMESPACE)
    if (
        move_conflict := find_move_conflict(session, target.partition(":")[0], place.path)
    ) is not None:
        return move_conflict
    other_removal = unfinished(session, target)
    if other_removal is not None:
        return Conflict(
            "This is being deleted already.",
            hint="Its progress is on its page.",
            links=_link_removal(other_removal, place),
        )
    return (
        find_old_path_conflict(session, target, place.path) if kind in REMOVAL_PERMISSIONS else None
    )


def _link_removal(removal: Removal, place: Place) -> list[Link]:
    """Return a list with a link to a removal, or an empty list if ``place`` does not contain it.

    Maintainers of ``place`` may not be allowed to see removals in the namespaces above.
    """
    if place.path not in prefixes(removal.project_path):
        return []
    values = {"path": removal.project_path, "removal_id": removal.id}
    return [Link(f"Go to removal {removal.id}", "removals.show", values)]


def has_running_operation(session: Session, target: str) -> bool:
    """Return whether a removal or move at, above, or below a path is unfinished."""
    return (
        find_unfinished_move(session, target) is not None or unfinished(session, target) is not None
    )


def unfinished(session: Session, target: str) -> Removal | None:
    """Return an unfinished removal at, above, or below a path or tag reference, or None."""
    image, colon, _ = target.partition(":")
    targets_above = prefixes(image) + ([target] if colon else [])
    is_part = below(Removal.target, target) | Removal.target.startswith(
        target + ":", autoescape=True
    )
    return session.scalar(
        select(Removal)
        .where(
            Removal.state.in_(["waiting", "running"]),
            Removal.target.in_(targets_above) | is_part,
        )
        .limit(1)
    )
