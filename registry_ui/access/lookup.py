"""Database lookups for access decisions: path access, roles, write freezes, and old paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.orm import Session, aliased

from ..db.prepared import CompiledQuery, lines_of
from ..db.statements import AnySelect
from ..models import Fence, Membership, OldPath, Place, Project
from .decisions import Fenced, OldPathMatch, PathAccess, Principal
from .roles import Role

#: Role of a deploy token in the place that it belongs to. Its scopes limit it further.
DEPLOY_ROLE = Role.MAINTAINER


def prefixes(path: str) -> list[str]:
    """Return a path and all paths above it, shortest first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


FENCE_COLUMNS: tuple[Any, ...] = (
    Fence.path.label("fence"),
    Fence.reason.label("fence_reason"),
    Fence.set_at.label("fence_set_at"),
)


FORMER_COLUMNS: tuple[Any, ...] = (
    OldPath.path.label("former"),
    OldPath.exact.label("former_exact"),
    OldPath.now.label("former_now"),
    OldPath.until.label("former_until"),
    OldPath.stopped.label("former_stopped"),
)


def _columns(place: Any) -> tuple[Any, ...]:
    return (
        place.id.label("place_id"),
        place.path.label("place"),
        place.kind,
        place.visibility,
        place.owner_id,
        Membership.role,
        *FENCE_COLUMNS,
    )


def _roles_of(place: Any, user_id: Any) -> ColumnElement[bool]:
    return and_(Membership.place_id == place.id, Membership.user_id == user_id)


def fences_over(paths: Iterable[Any]) -> ColumnElement[bool]:
    """Return the condition for write freezes at any of these paths, or of the whole registry."""
    return Fence.path.in_([literal_column("''"), *paths])


def _beside(query: AnySelect, user_id: Any, paths: list[Any]) -> AnySelect:
    """Extend a query by the places at some paths, a user's roles there, and all write freezes.

    Each row of the query is repeated for each place and each freeze. Usually there is no
    freeze, and joining all of them is the cheapest way to find that out. The column ``former``
    of every row contains all old paths among ``paths``, one per line.

    Args:
        user_id: column or parameter with the id of the user; None for no roles.
    """
    place = aliased(Place)
    own = false() if user_id is None else _roles_of(place, user_id)
    query = query.outerjoin(place, place.path.in_(paths)).outerjoin(Membership, own)
    former = select(lines_of(OldPath.path)).where(OldPath.path.in_(paths))
    query = query.outerjoin(Fence, true())
    return query.add_columns(*_columns(place), former.scalar_subquery().label("former"))


def one_row() -> AnySelect:
    """Return a query with exactly one row, as a basis for outer joins."""
    row = select(literal_column("1").label("asked")).subquery("asked")
    return select(row.c.asked).select_from(row)


def path_accesses(
    session: Session, principal: Principal, paths: Iterable[str]
) -> dict[str, PathAccess]:
    """Return the access of a principal to each path, using one query for all paths."""
    above = {path: prefixes(path) for path in paths}
    every = {prefix for found in above.values() for prefix in found}
    if not every:
        return {}
    query = _beside(one_row(), bindparam("user_id"), sorted(every))
    rows = session.execute(query, {"user_id": principal.user_id or 0}).all()
    return _standings(principal, above, rows)


def path_access(session: Session, principal: Principal, path: str) -> PathAccess:
    """Return the access of a principal to one path, using one query."""
    return path_accesses(session, principal, [path])[path]


def path_access_by_any_name(session: Session, principal: Principal, repository: str) -> PathAccess:
    """Return the access of a principal to a repository, given by its current or an old path.

    The result is the same as for the token endpoint.
    """
    former = former_name(session, repository)
    if former is None:
        return path_access(session, principal, repository)
    return replace(path_access(session, principal, former.now), former=former)


def former_name(session: Session, name: str) -> OldPathMatch | None:
    """Return the current path for an old path, following later moves; None for any other path.

    Args:
        name: path of a repository, a namespace or a project.
    """
    query = select(*FORMER_COLUMNS).where(OldPath.path.in_(above := prefixes(name)))
    found = former_over(name, above, {row.former: row for row in session.execute(query)})
    if found is None:
        return None
    later = former_name(session, found.now)
    return found if later is None else replace(found, now=later.now)


class CredentialQuery:
    """A compiled query for a credential that can read the access to some paths as well.

    Args:
        query: selects at most one row, that of the credential.
        user_id: the column of that row with the user whose roles are read; None for no roles.
    """

    def __init__(self, query: AnySelect, user_id: Any = None) -> None:
        self._query, self._user_id = query, user_id
        self._prepared: dict[int, CompiledQuery] = {}

    def with_room(self, room: int) -> CompiledQuery:
        """Return the query compiled for ``room`` paths, given as parameters p0, p1 and so on."""
        found = self._prepared.get(room)
        if found is None:
            paths = [bindparam(f"p{number}", type_=Place.path.type) for number in range(room)]
            query = _beside(self._query, self._user_id, paths) if room else self._query
            found = self._prepared[room] = CompiledQuery(query)
        return found


_FORMER = CompiledQuery(
    select(*FORMER_COLUMNS).where(OldPath.path == bindparam("path", type_=OldPath.path.type))
)
#: For requests without credentials.
_ANYONE = CredentialQuery(one_row(), bindparam("user_id"))


_Parameters = tuple[dict[str, list[str]], int, dict[str, str]]


def _parameters(paths: tuple[str, ...]) -> _Parameters:
    """Return the prefixes of each path, and the number and values of the query's parameters."""
    above = {path: prefixes(path) for path in paths}
    every = list({prefix: None for found in above.values() for prefix in found})
    # Queries are compiled for 4, 8, 16 … paths. Unused parameters repeat the last path.
    room = max(4, 1 << (len(every) - 1).bit_length()) if every else 0
    return above, room, {f"p{n}": every[min(n, len(every) - 1)] for n in range(room)}


#: Maximum number of cached entries of _parameters(), and maximum total length of the paths of
#: one entry. Clients request the same few repositories again and again.
REMEMBERED_PATHS, REMEMBERED_LENGTH = 512, 400
_remembered_parameters = lru_cache(maxsize=REMEMBERED_PATHS)(_parameters)


def _parameters_of(paths: tuple[str, ...]) -> _Parameters:
    """Return the result of _parameters(), from a cache if it is small.

    Clients choose the paths and could fill the memory: the paths above a path of length n can
    have n²/4 characters in total.
    """
    length = sum(len(path) * (path.count("/") + 1) for path in paths)
    return (_parameters if length > REMEMBERED_LENGTH else _remembered_parameters)(paths)


class AccessLookup:
    """Lookup of the access to some paths, in the same query as the lookup of the credential.

    For the token endpoint: two separate queries would be two thirds of its work, most of it
    spent on waking threads (``make bench-token``).
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._above, self._room, self._values = _parameters_of(tuple(paths))
        self._rows: list[Any] | None = None

    def first(self, engine: Engine, look_up: CredentialQuery, **values: str) -> Any:
        """Return the row of a credential or None, and read the data for the paths with it."""
        rows = look_up.with_room(self._room).all(engine, **values, **self._values)
        self._rows = rows
        return rows[0] if rows else None

    def standings(self, engine: Engine, principal: Principal) -> dict[str, PathAccess]:
        """Return the access of a principal to each path, using the data read by first().

        If first() was not called, as for an anonymous client, run a query now.
        """
        if not self._room:
            return {}
        if self._rows is None:
            user_id = principal.user_id or 0
            anyone = _ANYONE.with_room(self._room)
            self._rows = anyone.all(engine, user_id=user_id, **self._values)
        found = _standings(principal, self._above, self._rows)
        old = self._rows[0].former if self._rows else None
        return found | self._by_new_names(engine, principal, old.split("\n")) if old else found

    def _by_new_names(
        self, engine: Engine, principal: Principal, old: list[str]
    ) -> dict[str, PathAccess]:
        """Return the access to those paths that are old ones, taken from the current paths."""
        rows = {path: _FORMER.first(engine, path=path) for path in old}
        named = {
            path: former
            for path, above in self._above.items()
            if (former := former_over(path, above, rows)) is not None
        }
        # The target of an old path can be an old path itself if it was moved again.
        now = AccessLookup(former.now for former in named.values()).standings(engine, principal)
        return {
            path: replace(now[former.now], former=replace(former, now=now[former.now].path))
            for path, former in named.items()
        }


def _standings(
    principal: Principal, wanted: dict[str, list[str]], rows: Sequence[Any]
) -> dict[str, PathAccess]:
    places = {row.place: row for row in rows}
    fences = {row.fence: row for row in rows if row.fence is not None}
    return {
        path: _standing(principal, path, above, places, fences) for path, above in wanted.items()
    }


def former_over(name: str, above: list[str], rows: dict[str, Any]) -> OldPathMatch | None:
    """Return the deepest old path that covers a name, or None.

    Args:
        above: the result of prefixes() for the name.
        rows: rows with FORMER_COLUMNS, by old path.
    """
    for path in reversed(above):
        row = rows.get(path)
        if row is not None and (path == name or not row.former_exact):
            now = row.former_now + name[len(path) :]
            stopped = name in row.former_stopped.split("\n")
            return OldPathMatch(name, now, row.former_until, stopped)
    return None


def _standing(
    principal: Principal,
    path: str,
    above: list[str],
    places: dict[str, Any],
    fences: dict[str, Any],
) -> PathAccess:
    found = [places[prefix] for prefix in above if prefix in places]
    fence = fence_over(above, fences) if fences else None
    if not found:
        return PathAccess(path, fence=fence)
    role, role_at = None, None
    for row in found:
        own = principal.user_id is not None and row.owner_id == principal.user_id
        here = Role.OWNER if own else Role(row.role) if row.role else None
        if row.place == principal.home:
            here = DEPLOY_ROLE
        if here is not None and (role is None or here > role):
            role, role_at = here, row.place
    last = found[-1]
    return PathAccess(
        path, last.place, last.place_id, last.kind, last.visibility, role, role_at, fence
    )


def fence_over(above: list[str], fences: dict[str, Any]) -> Fenced | None:
    """Return the write freeze with the shortest path that covers a path, or None.

    Args:
        above: the result of prefixes() for the path.
        fences: rows with FENCE_COLUMNS, by path of the freeze.
    """
    row = next((fences[path] for path in ("", *above) if path in fences), None)
    return Fenced(row.fence, row.fence_reason, row.fence_set_at) if row else None


def owning_project(session: Session, repository: str) -> Project | None:
    """Return the project that owns a repository: the one with the longest matching prefix."""
    return session.scalar(
        select(Project)
        .where(Project.path.in_(prefixes(repository)))
        .order_by(func.length(Project.path).desc())
        .limit(1)
    )
