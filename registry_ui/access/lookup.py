"""The facts that decisions need, each by one query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, bindparam, false, or_, select, true
from sqlalchemy.orm import Session, aliased

from ..models import Membership, Place
from ..storage import Prepared
from .decisions import Principal, Reach, Standing
from .roles import Role, Visibility

MAX_RANGES = 50
#: What a deploy token may where it belongs, as far as its scopes let it.
DEPLOY_ROLE = Role.MAINTAINER


def prefixes(path: str) -> list[str]:
    """Return ``path`` and everything above it, shortest first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _query() -> Any:
    return select(
        Place.id, Place.path, Place.kind, Place.visibility, Place.owner_id, Membership.role
    ).outerjoin(
        Membership,
        and_(Membership.place_id == Place.id, Membership.user_id == bindparam("user_id")),
    )


def standings(session: Session, principal: Principal, paths: Iterable[str]) -> dict[str, Standing]:
    """Return the standing of every path, by one query for all of them together."""

    def read(every: list[str], user_id: int) -> Iterable[Any]:
        return session.execute(_query().where(Place.path.in_(every)), {"user_id": user_id})

    return _standings(read, principal, paths)


def standings_quickly(
    engine: Engine, principal: Principal, paths: Iterable[str]
) -> dict[str, Standing]:
    """Return what standings() does, by a query that is compiled already."""

    def read(every: list[str], user_id: int) -> Iterable[Any]:
        # Compiled for 4, 8, 16 … paths; the places left over ask for the last path again.
        room = max(4, 1 << (len(every) - 1).bit_length())
        values = {f"p{n}": every[min(n, len(every) - 1)] for n in range(room)}
        return _prepared(room).all(engine, user_id=user_id, **values)

    return _standings(read, principal, paths)


@lru_cache
def _prepared(room: int) -> Prepared:
    paths = [bindparam(f"p{n}", type_=Place.path.type) for n in range(room)]
    return Prepared(_query().where(Place.path.in_(paths)))


def _standings(
    read: Callable[[list[str], int], Iterable[Any]], principal: Principal, paths: Iterable[str]
) -> dict[str, Standing]:
    wanted = {path: prefixes(path) for path in paths}
    every = list({prefix: None for above in wanted.values() for prefix in above})
    if not every:
        return {}
    rows = {row.path: row for row in read(every, principal.user_id or 0)}
    return {path: _standing(principal, path, above, rows) for path, above in wanted.items()}


def standing(session: Session, principal: Principal, path: str) -> Standing:
    """Return the standing of one path, by one query."""
    return standings(session, principal, [path])[path]


def _standing(principal: Principal, path: str, above: list[str], rows: dict[str, Any]) -> Standing:
    found = [rows[prefix] for prefix in above if prefix in rows]
    if not found:
        return Standing(path)
    role, role_at = None, None
    for row in found:
        own = principal.user_id is not None and row.owner_id == principal.user_id
        here = Role.OWNER if own else Role(row.role) if row.role else None
        if row.path == principal.home:
            here = DEPLOY_ROLE
        if here is not None and (role is None or here > role):
            role, role_at = here, row.path
    place = found[-1]
    return Standing(path, place.path, place.id, place.kind, place.visibility, role, role_at)


def below(column: Any, path: str) -> ColumnElement[bool]:
    """Match what lies below ``path``, from an index: ``0`` is the character after ``/``."""
    return and_(column >= path + "/", column < path + "0")


def at_or_below(column: Any, path: str) -> ColumnElement[bool]:
    """Match ``path`` and what lies below it."""
    return or_(column == path, below(column, path))


def reached(column: Any, reach: Reach) -> ColumnElement[bool]:
    """Match what ``reach`` covers: Reach.covers(), as a condition."""
    return column == reach.path if reach.exact else at_or_below(column, reach.path)


def own_places(principal: Principal, minimum: Role = Role.GUEST) -> Select[Any]:
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
