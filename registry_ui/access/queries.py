"""SQL conditions for paths below a path, and for the places a principal can see.

A place is a namespace or project.
"""

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
    """Return the SQL condition that the path in a column is below ``path``.

    The condition is a range, so that a database index can be used: ``0`` is the character that
    follows ``/``.
    """
    return and_(column >= path + "/", column < path + "0")


def at_or_below(column: Any, path: str) -> ColumnElement[bool]:
    """Return the SQL condition that the path in a column is ``path`` or below it."""
    return or_(column == path, below(column, path))


def within_restriction(column: Any, restriction: PathRestriction) -> ColumnElement[bool]:
    """Return the SQL condition that the path in a column is within a path restriction."""
    return (
        column == restriction.path if restriction.exact else at_or_below(column, restriction.path)
    )


def own_places(principal: Principal, minimum: Role = Role.GUEST) -> AnySelect:
    """Return a query for the paths of the places that a user owns or has a sufficient role in."""
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
    """Return the SQL condition for places that a principal can see. Runs at most one query.

    It matches everything at and below the places that the principal is a member of and, unless
    ``members_only``, all projects with a visibility that includes the principal.

    Args:
        place: the entity that the condition applies to: Place, a subclass, or an alias.
        minimum: minimum role of a member. With Reporter, the condition matches the projects
            that the principal can pull from.
    """
    restriction: ColumnElement[bool] = true()
    if principal.restriction is not None:
        restriction = within_restriction(place.path, principal.restriction)
    if principal.is_admin and not members_only:
        return restriction
    conditions: list[ColumnElement[bool]] = []
    if principal.home is not None:
        conditions.append(at_or_below(place.path, principal.home))
    if principal.is_person:
        conditions.append(below_own(session, principal, place, minimum))
    if not members_only:
        visibilities = [Visibility.PUBLIC]
        if principal.is_person:
            visibilities.append(Visibility.INTERNAL)
        conditions.append(place.visibility.in_(visibilities))
    return and_(restriction, or_(false(), *conditions))


def below_own(
    session: Session, principal: Principal, place: Any, minimum: Role = Role.GUEST
) -> ColumnElement[bool]:
    """Return the SQL condition for places at or below those returned by own_places().

    Up to MAX_RANGES of those become index ranges. A larger number becomes a subquery, because
    SQLite limits the size of an expression, and a user can be a member of any number of places.
    """
    roots: list[str] = []
    for path in session.scalars(own_places(principal, minimum)):
        if not roots or not path.startswith(roots[-1] + "/"):
            roots.append(path)
    if len(roots) <= MAX_RANGES:
        return or_(false(), *(at_or_below(place.path, path) for path in roots))
    own_place = aliased(Place)
    is_below = (place.path >= own_place.path + "/") & (place.path < own_place.path + "0")
    return (
        select(own_place.id)
        .where(
            own_place.path.in_(own_places(principal, minimum)),
            (own_place.path == place.path) | is_below,
        )
        .correlate(place)
        .exists()
    )


def can_see_namespace(session: Session, principal: Principal, path: str) -> bool:
    """Return whether the principal can see something below a namespace, and so its name."""
    condition = visible_places(session, principal)
    query = select(Place.id).where(below(Place.path, path), condition).limit(1)
    return session.execute(query).first() is not None


def can_see(session: Session, principal: Principal, access: PathAccess) -> bool:
    """Return whether the principal can see a namespace or project at exactly ``access.path``."""
    if access.exact and decide(principal, access, Permission.SEE).allowed:
        return True
    # A principal who can see something in a namespace can see the namespace too. Run the same
    # query for a hidden place as for a missing one, so that the time does not reveal which it is.
    can_see_inside = can_see_namespace(session, principal, access.path)
    return can_see_inside and access.exact and access.kind == "namespace"


def can_see_repository(session: Session, principal: Principal, access: PathAccess) -> bool:
    """Return whether the principal can see the place at ``access.path``, or the project above."""
    has_access = access.project is not None and decide(principal, access, Permission.SEE).allowed
    return has_access or can_see(session, principal, access)


def managed_places(
    place: type[Place], *conditions: ColumnElement[bool]
) -> tuple[Select[str], Select[str]]:
    """Return two queries for the paths of places that have an active manager.

    The first query selects places with an Owner among their members, the second selects personal
    namespaces. Blocked users do not count, because they can't sign in.

    Args:
        place: Place or an alias of it.
        conditions: further SQL conditions for the places.
    """
    by_role = (
        select(place.path)
        .join(Membership, Membership.place_id == place.id)
        .join(User, User.id == Membership.user_id)
        .where(*conditions, Membership.role == int(Role.OWNER), User.is_blocked.is_(False))
    )
    personal = (
        select(place.path)
        .join(User, User.id == place.owner_id)
        .where(*conditions, User.is_blocked.is_(False))
    )
    return by_role, personal
