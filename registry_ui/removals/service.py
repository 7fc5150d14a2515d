"""From a plan to a removal: stored, confirmed, one at a time for a target."""

from __future__ import annotations

import secrets
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import REMOVAL_PERMISSIONS, Role, below
from ..access.lookup import prefixes
from ..access.reserved_paths import find_former, find_move, moving
from ..audit import Actor, record
from ..db.session import writing
from ..errors import Conflict, Denied, Invalid, Link, StateConflict
from ..models import Namespace, Place, Removal
from .plan import RemovalPlan
from .rule_check import first_refusal

NOT_CONFIRMED = "This plan sets rules aside to remove tags that can't be read. Confirm this. {}"


def start(actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan as a removal that waits for the worker.

    Raises:
        Clash: a removal of the same target is not finished yet.
    """
    with writing() as session:
        _lock(session, place)
        require_no_obstacle(session, plan.kind, plan.target, place)
        removal = _stored(plan, place, actor)
        session.add(removal)
        _record(session, actor, removal)
        session.flush()
        return removal


def save_plan(actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store a plan that somebody will look at, and perhaps confirm."""
    with writing() as session:
        return add_plan(session, actor, plan, place)


def add_plan(session: Session, actor: Actor, plan: RemovalPlan, place: Place) -> Removal:
    """Store such a plan in a transaction that stores more."""
    removal = _stored(plan, place, actor)
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
    """Let the worker carry out a stored plan: that one, and nothing else.

    Args:
        despite_rules: confirms that the plan removes damaged tags although they are immutable.
        role: of whoever confirms, for the protection rules.

    Raises:
        StateConflict: it is no plan any more.
        Clash: something of its target is being deleted.
        Denied: a protection rule refuses a part of it by now, or to whoever confirms.
        Invalid: it sets rules aside, and that was not confirmed.
    """
    with writing() as session:
        _lock(session, place)
        removal = session.get(Removal, removal_id, with_for_update=True, populate_existing=True)
        if removal is None or removal.state != "planned":
            raise StateConflict("This plan was carried out or discarded already.")
        rules = removal.preview.get("despite")
        if rules and not despite_rules:
            message = NOT_CONFIRMED.format(" ".join(f"{name}: {rule}" for name, rule in rules))
            raise Invalid("Nothing was deleted.", {"despite_rules": message})
        require_no_obstacle(session, removal.kind, removal.target, place)
        refused = first_refusal(session, place, removal.plan, role)
        if refused is not None:
            raise Denied(f"Not allowed: {refused}.", hint="Plan again: the plan leaves it out.")
        removal.state, removal.requested_by = "waiting", actor.name
        _record(session, actor, removal)
        return removal


def _stored(plan: RemovalPlan, place: Place, actor: Actor) -> Removal:
    # The bin's names are drawn once the plan is kept: a preview is the same each time.
    steps = [
        replace(step, trash_tag=f"_bin.{secrets.token_hex(8)}") if step.days else step
        for step in plan.steps
    ]
    return Removal(
        kind=plan.kind,
        target=plan.target,
        project_id=place.id,
        project_path=place.path,
        requested_by=actor.name,
        plan=steps,
        preview=plan.preview(),
        total=len(plan.steps),
    )


def _record(session: Session, actor: Actor, removal: Removal) -> None:
    tags = len(removal.preview["removes"]) + removal.preview["removes_more"]
    record(session, actor, f"{removal.kind}.delete", removal.target, tags=tags)
    for reference, rule in removal.preview.get("despite", ()):
        record(session, actor, "tag.delete_despite_rule", reference, rule=rule)


def _lock(session: Session, place: Place) -> None:
    """Let one at a time begin in a place: the second sees the first."""
    session.execute(select(Place.id).where(Place.id == place.id).with_for_update())


def require_no_obstacle(session: Session, kind: str, target: str, place: Place) -> None:
    """Raise Clash if a removal can't begin now, as find_obstacle() says."""
    obstacle = find_obstacle(session, kind, target, place)
    if obstacle is not None:
        raise obstacle


def find_obstacle(session: Session, kind: str, target: str, place: Place) -> Conflict | None:
    """Return why a removal can't begin now, with links to what stands in its way, or None.

    Args:
        place: the place of the removal, which the reader looks after.
    """
    if isinstance(place, Namespace) and place.is_personal and kind == place.kind:
        return Conflict("A personal namespace goes with its account.")
    if (moved := find_move(session, target.partition(":")[0], place.path)) is not None:
        return moved
    other = unfinished(session, target)
    if other is not None:
        return Conflict(
            "This is being deleted already.",
            hint="Its progress is on its page.",
            links=_link_removal(other, place),
        )
    return find_former(session, target, place.path) if kind in REMOVAL_PERMISSIONS else None


def _link_removal(removal: Removal, place: Place) -> list[Link]:
    """Return the link to a removal, unless it is of something above, which is not ours to see."""
    if place.path not in prefixes(removal.project_path):
        return []
    values = {"path": removal.project_path, "removal_id": removal.id}
    return [Link(f"Go to removal {removal.id}", "removals.show", values)]


def has_running_operation(session: Session, target: str) -> bool:
    """Whether a removal of a place, of what holds it or of a part of it, or a move is under way."""
    return moving(session, target) is not None or unfinished(session, target) is not None


def unfinished(session: Session, target: str) -> Removal | None:
    """Return a removal that waits or runs, of ``target``, of what holds it, or of a part of it."""
    image, colon, _ = target.partition(":")
    holders = prefixes(image) + ([target] if colon else [])
    parts = below(Removal.target, target) | Removal.target.startswith(target + ":", autoescape=True)
    return session.scalar(
        select(Removal)
        .where(
            Removal.state.in_(["waiting", "running"]),
            Removal.target.in_(holders) | parts,
        )
        .limit(1)
    )
