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

from ..db.prepared import CompiledQuery, string_agg
from ..db.statements import AnySelect
from ..models import Membership, OldPath, Place, Project, WriteFreeze
from .decisions import ActiveFreeze, OldPathMatch, PathAccess, Principal
from .roles import Role

#: Role of a deploy token in its namespace or project. The scopes of the token limit it further.
DEPLOY_ROLE = Role.MAINTAINER


def prefixes(path: str) -> list[str]:
    """Return a path and all paths above it, shortest first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


FREEZE_COLUMNS: tuple[Any, ...] = (
    WriteFreeze.path.label("freeze"),
    WriteFreeze.reason.label("freeze_reason"),
    WriteFreeze.set_at.label("freeze_set_at"),
)


OLD_PATH_COLUMNS: tuple[Any, ...] = (
    OldPath.path.label("old_path"),
    OldPath.exact.label("old_path_exact"),
    OldPath.new_path.label("new_path"),
    OldPath.until.label("old_path_until"),
    OldPath.stopped.label("old_path_stopped"),
)


def _access_columns(place: Any) -> tuple[Any, ...]:
    return (
        place.id.label("place_id"),
        place.path.label("place"),
        place.kind,
        place.visibility,
        place.owner_id,
        Membership.role,
        *FREEZE_COLUMNS,
    )


def _is_membership_of(place: Any, user_id: Any) -> ColumnElement[bool]:
    return and_(Membership.place_id == place.id, Membership.user_id == user_id)


def freezes_over(paths: Iterable[Any]) -> ColumnElement[bool]:
    """Return the SQL condition for write freezes at these paths, or of the whole registry."""
    return WriteFreeze.path.in_([literal_column("''"), *paths])


def _join_access(query: AnySelect, user_id: Any, paths: list[Any]) -> AnySelect:
    """Extend a query by the data from which the access to some paths is decided.

    This data is the places (namespaces and projects) at the paths, a user's role in each place,
    and all write freezes. Each row of the query is repeated for each place and each freeze.
    Usually there is no freeze, and joining all of them is the cheapest way to find that out. The
    column ``old_paths`` of every row contains all old paths among ``paths``, one per line.

    Args:
        user_id: column or parameter with the id of the user; None for no roles.
    """
    place = aliased(Place)
    is_member = false() if user_id is None else _is_membership_of(place, user_id)
    query = query.outerjoin(place, place.path.in_(paths)).outerjoin(Membership, is_member)
    old_paths = select(string_agg(OldPath.path)).where(OldPath.path.in_(paths))
    query = query.outerjoin(WriteFreeze, true())
    return query.add_columns(
        *_access_columns(place), old_paths.scalar_subquery().label("old_paths")
    )


def one_row() -> AnySelect:
    """Return a query with exactly one row, as a basis for outer joins."""
    row = select(literal_column("1").label("one")).subquery("one_row")
    return select(row.c.one).select_from(row)


def path_accesses(
    session: Session, principal: Principal, paths: Iterable[str]
) -> dict[str, PathAccess]:
    """Return the access of a principal to each path, using one query for all paths."""
    prefixes_by_path = {path: prefixes(path) for path in paths}
    all_prefixes = {
        prefix for path_prefixes in prefixes_by_path.values() for prefix in path_prefixes
    }
    if not all_prefixes:
        return {}
    query = _join_access(one_row(), bindparam("user_id"), sorted(all_prefixes))
    rows = session.execute(query, {"user_id": principal.user_id or 0}).all()
    return _accesses_from_rows(principal, prefixes_by_path, rows)


def path_access(session: Session, principal: Principal, path: str) -> PathAccess:
    """Return the access of a principal to one path, using one query."""
    return path_accesses(session, principal, [path])[path]


def path_access_by_any_name(session: Session, principal: Principal, repository: str) -> PathAccess:
    """Return the access of a principal to a repository, given by its current or an old path.

    The token endpoint grants access by the same rules.
    """
    old_path = find_old_path(session, repository)
    if old_path is None:
        return path_access(session, principal, repository)
    return replace(path_access(session, principal, old_path.new_path), old_path=old_path)


def find_old_path(session: Session, name: str) -> OldPathMatch | None:
    """Return the old path that covers a name, with its current path, or None.

    Later moves of the current path are followed. None means that no old path covers the name.

    Args:
        name: path of a repository, a namespace, or a project.
    """
    query = select(*OLD_PATH_COLUMNS).where(OldPath.path.in_(path_prefixes := prefixes(name)))
    old_path = match_old_path(
        name, path_prefixes, {row.old_path: row for row in session.execute(query)}
    )
    if old_path is None:
        return None
    later = find_old_path(session, old_path.new_path)
    return old_path if later is None else replace(old_path, new_path=later.new_path)


class CredentialQuery:
    """A query for a credential that can read the access to some paths as well.

    The query is compiled once for each number of paths.

    Args:
        query: selects at most one row, that of the credential.
        user_id: the column of that row with the user whose roles are read; None for no roles.
    """

    def __init__(self, query: AnySelect, user_id: Any = None) -> None:
        self._query, self._user_id = query, user_id
        self._compiled: dict[int, CompiledQuery] = {}

    def for_paths(self, count: int) -> CompiledQuery:
        """Return the query compiled for ``count`` paths, given as parameters p0, p1, and so on."""
        compiled = self._compiled.get(count)
        if compiled is None:
            paths = [bindparam(f"p{number}", type_=Place.path.type) for number in range(count)]
            query = _join_access(self._query, self._user_id, paths) if count else self._query
            compiled = self._compiled[count] = CompiledQuery(query)
        return compiled


_OLD_PATH_QUERY = CompiledQuery(
    select(*OLD_PATH_COLUMNS).where(OldPath.path == bindparam("path", type_=OldPath.path.type))
)
#: For requests without credentials.
_ANONYMOUS_QUERY = CredentialQuery(one_row(), bindparam("user_id"))


_Parameters = tuple[dict[str, list[str]], int, dict[str, str]]


def _compute_parameters(paths: tuple[str, ...]) -> _Parameters:
    """Return the prefixes of each path, and the number and values of the query's parameters."""
    prefixes_by_path = {path: prefixes(path) for path in paths}
    all_prefixes = list(
        {prefix: None for path_prefixes in prefixes_by_path.values() for prefix in path_prefixes}
    )
    # Queries are compiled for 4, 8, 16 … paths. Unused parameters repeat the last path.
    count = max(4, 1 << (len(all_prefixes) - 1).bit_length()) if all_prefixes else 0
    values = {f"p{n}": all_prefixes[min(n, len(all_prefixes) - 1)] for n in range(count)}
    return prefixes_by_path, count, values


#: Maximum number of cached results of _compute_parameters(), and maximum total length of the
#: paths of one result. Clients request the same few repositories again and again.
MAX_CACHED_PARAMETERS, MAX_CACHED_LENGTH = 512, 400
_compute_parameters_cached = lru_cache(maxsize=MAX_CACHED_PARAMETERS)(_compute_parameters)


def _get_parameters(paths: tuple[str, ...]) -> _Parameters:
    """Return the result of _compute_parameters(), from a cache if it is small.

    Clients choose the paths and could fill the memory: the paths above a path of length n can
    have n²/4 characters in total.
    """
    length = sum(len(path) * (path.count("/") + 1) for path in paths)
    return (_compute_parameters if length > MAX_CACHED_LENGTH else _compute_parameters_cached)(
        paths
    )


class AccessLookup:
    """Lookup of the access to some paths, in the same query as the lookup of the credential.

    It is for the token endpoint: two separate queries would be two thirds of the endpoint's work,
    most of it spent on waking threads (``make bench-token``).
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._prefixes, self._parameter_count, self._values = _get_parameters(tuple(paths))
        self._rows: list[Any] | None = None

    def first(self, engine: Engine, query: CredentialQuery, **values: str) -> Any:
        """Run the query; return the credential's row, or None if there is no such credential.

        The query also reads the access data for the paths, which path_accesses() uses.
        """
        rows = query.for_paths(self._parameter_count).all(engine, **values, **self._values)
        self._rows = rows
        return rows[0] if rows else None

    def path_accesses(self, engine: Engine, principal: Principal) -> dict[str, PathAccess]:
        """Return the access of a principal to each path, using the data read by first().

        If first() was not called, as for an anonymous client, run a query now.
        """
        if not self._parameter_count:
            return {}
        if self._rows is None:
            user_id = principal.user_id or 0
            query = _ANONYMOUS_QUERY.for_paths(self._parameter_count)
            self._rows = query.all(engine, user_id=user_id, **self._values)
        accesses = _accesses_from_rows(principal, self._prefixes, self._rows)
        old_paths = self._rows[0].old_paths if self._rows else None
        if not old_paths:
            return accesses
        return accesses | self._resolve_old_paths(engine, principal, old_paths.split("\n"))

    def _resolve_old_paths(
        self, engine: Engine, principal: Principal, old_paths: list[str]
    ) -> dict[str, PathAccess]:
        """Return the access to the requested paths that ``old_paths`` cover, by requested path."""
        rows = {path: _OLD_PATH_QUERY.first(engine, path=path) for path in old_paths}
        matches = {
            path: old_path
            for path, path_prefixes in self._prefixes.items()
            if (old_path := match_old_path(path, path_prefixes, rows)) is not None
        }
        # The target of an old path can be an old path itself if it was moved again.
        accesses = AccessLookup(old_path.new_path for old_path in matches.values()).path_accesses(
            engine, principal
        )
        return {
            path: replace(
                accesses[old_path.new_path],
                old_path=replace(old_path, new_path=accesses[old_path.new_path].path),
            )
            for path, old_path in matches.items()
        }


def _accesses_from_rows(
    principal: Principal, prefixes_by_path: dict[str, list[str]], rows: Sequence[Any]
) -> dict[str, PathAccess]:
    places = {row.place: row for row in rows}
    freezes = {row.freeze: row for row in rows if row.freeze is not None}
    return {
        path: _access_from_rows(principal, path, path_prefixes, places, freezes)
        for path, path_prefixes in prefixes_by_path.items()
    }


def match_old_path(
    name: str, path_prefixes: list[str], rows: dict[str, Any]
) -> OldPathMatch | None:
    """Return the deepest old path that covers a name, or None.

    Args:
        path_prefixes: the result of prefixes() for the name.
        rows: rows with OLD_PATH_COLUMNS, by old path.
    """
    for path in reversed(path_prefixes):
        row = rows.get(path)
        if row is not None and (path == name or not row.old_path_exact):
            new_path = row.new_path + name[len(path) :]
            stopped = name in row.old_path_stopped.split("\n")
            return OldPathMatch(name, new_path, row.old_path_until, stopped)
    return None


def _access_from_rows(
    principal: Principal,
    path: str,
    path_prefixes: list[str],
    places: dict[str, Any],
    freezes: dict[str, Any],
) -> PathAccess:
    place_rows = [places[prefix] for prefix in path_prefixes if prefix in places]
    freeze = widest_freeze(path_prefixes, freezes) if freezes else None
    if not place_rows:
        return PathAccess(path, freeze=freeze)
    role, role_at = None, None
    for row in place_rows:
        is_owner = principal.user_id is not None and row.owner_id == principal.user_id
        place_role = Role.OWNER if is_owner else Role(row.role) if row.role else None
        if row.place == principal.home:
            place_role = DEPLOY_ROLE
        if place_role is not None and (role is None or place_role > role):
            role, role_at = place_role, row.place
    deepest = place_rows[-1]
    return PathAccess(
        path,
        deepest.place,
        deepest.place_id,
        deepest.kind,
        deepest.visibility,
        role,
        role_at,
        freeze,
    )


def widest_freeze(path_prefixes: list[str], freezes: dict[str, Any]) -> ActiveFreeze | None:
    """Return the write freeze with the shortest path that covers a path, or None.

    Args:
        path_prefixes: the result of prefixes() for the path.
        freezes: rows with FREEZE_COLUMNS, by path of the freeze.
    """
    row = next((freezes[path] for path in ("", *path_prefixes) if path in freezes), None)
    return ActiveFreeze(row.freeze, row.freeze_reason, row.freeze_set_at) if row else None


def owning_project(session: Session, repository: str) -> Project | None:
    """Return the project at the longest prefix of a repository name, or None if there is none."""
    return session.scalar(
        select(Project)
        .where(Project.path.in_(prefixes(repository)))
        .order_by(func.length(Project.path).desc())
        .limit(1)
    )
