"""Conditions for queries: what lies below a path, and what a principal can see."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true
from sqlalchemy.orm import Session, aliased

from ..db.statements import AnySelect
from ..models import Membership, Place, User
from .decisions import PathAccess, PathRestriction, Principal, decide
from .roles import Permission, Role, Visibility

MAX_RANGES = 50


def below(column: Any, path: str) -> ColumnElement[bool]:
    """Match what lies below ``path``, from an index: ``0`` is the character after ``/``."""
    return and_(column >= path + "/", column < path + "0")


def at_or_below(column: Any, path: str) -> ColumnElement[bool]:
    """Match ``path`` and what lies below it."""
    return or_(column == path, below(column, path))


def reached(column: Any, reach: PathRestriction) -> ColumnElement[bool]:
    """Match what ``reach`` covers: Reach.covers(), as a condition."""
    return column == reach.path if reach.exact else at_or_below(column, reach.path)


def own_places(principal: Principal, minimum: Role = Role.GUEST) -> AnySelect:
    """Select the paths where the principal has at least that role, or which are theirs."""
    return (
        select(Place.path)
        .outerjoin(
            Membership,
            and_(
                Membership.place_id == Place.id,
                Membership.user_id == principal.user_id,
                Membership.role >= int(minimum),
            ),
        )
        .where(or_(Membership.id.is_not(None), Place.owner_id == principal.user_id))
        .order_by(Place.path)
    )


def visible_places(
    session: Session,
    principal: Principal,
    place: Any = Place,
    *,
    members_only: bool = False,
    minimum: Role = Role.GUEST,
) -> ColumnElement[bool]:
    """Return the condition for what the principal may see, at the price of one query.

    It holds for everything at and below the places where they are a member, and,
    unless ``members_only``, for every project that its visibility opens to them.

    Args:
        place: the entity that the condition speaks of: Place, a subclass, or an alias.
        minimum: the least role of a member; with Reporter, it holds for what they may pull.
    """
    within: ColumnElement[bool] = true()
    if principal.reach is not None:
        within = reached(place.path, principal.reach)
    if principal.is_admin and not members_only:
        return within
    conditions: list[ColumnElement[bool]] = []
    if principal.home is not None:
        conditions.append(at_or_below(place.path, principal.home))
    if principal.is_person:
        conditions.append(below_own(session, principal, place, minimum))
    if not members_only:
        open_to = [Visibility.PUBLIC]
        if principal.is_person:
            open_to.append(Visibility.INTERNAL)
        conditions.append(place.visibility.in_(open_to))
    return and_(within, or_(false(), *conditions))


def below_own(
    session: Session, principal: Principal, place: Any, minimum: Role = Role.GUEST
) -> ColumnElement[bool]:
    """Match what lies at or below the principal's own places, with a role of at least ``minimum``.

    Few of them become ranges of an index; many, a join: SQLite allows an expression
    only so many parts, and anybody can be made a member of anything.
    """
    tops: list[str] = []
    for path in session.scalars(own_places(principal, minimum)):
        if not tops or not path.startswith(tops[-1] + "/"):
            tops.append(path)
    if len(tops) <= MAX_RANGES:
        return or_(false(), *(at_or_below(place.path, path) for path in tops))
    own = aliased(Place)
    above = (place.path >= own.path + "/") & (place.path < own.path + "0")
    return (
        select(own.id)
        .where(own.path.in_(own_places(principal, minimum)), (own.path == place.path) | above)
        .correlate(place)
        .exists()
    )


def can_see_namespace(session: Session, principal: Principal, path: str) -> bool:
    """Whether something below a namespace is open to the principal: then its name is no secret."""
    condition = visible_places(session, principal)
    query = select(Place.id).where(below(Place.path, path), condition).limit(1)
    return session.execute(query).first() is not None


def can_see(session: Session, principal: Principal, standing: PathAccess) -> bool:
    """Whether the principal can see the namespace or project at exactly this path."""
    if standing.exact and decide(principal, standing, Permission.SEE).allowed:
        return True
    # A namespace is no secret to somebody who can see something in it. Run the same query for
    # a hidden place as for a missing one, because its price must not tell them apart.
    opened = can_see_namespace(session, principal, standing.path)
    return opened and standing.exact and standing.kind == "namespace"


def can_see_repository(session: Session, principal: Principal, standing: PathAccess) -> bool:
    """Whether the path is a place that the principal can see, or below a project that they can."""
    inside = standing.project is not None and decide(principal, standing, Permission.SEE).allowed
    return inside or can_see(session, principal, standing)


def managed_places(
    place: type[Place], *where: ColumnElement[bool]
) -> tuple[Select[str], Select[str]]:
    """Select the paths of places that someone manages, as Owner and as a personal namespace.

    Users who are blocked can't sign in, so they manage nothing.

    Args:
        place: Place or an alias of it.
        where: which places.
    """
    by_role = (
        select(place.path)
        .join(Membership, Membership.place_id == place.id)
        .join(User, User.id == Membership.user_id)
        .where(*where, Membership.role == int(Role.OWNER), User.is_blocked.is_(False))
    )
    personal = (
        select(place.path)
        .join(User, User.id == place.owner_id)
        .where(*where, User.is_blocked.is_(False))
    )
    return by_role, personal
