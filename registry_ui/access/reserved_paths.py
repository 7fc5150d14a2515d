"""Paths reserved by moves: old paths that can still be pulled, and targets of active moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from ..enumerations import MAX_NAMES
from ..errors import Conflict, Link
from ..models import Move, OldPath, Place, WriteFreeze
from ..models.move import ACTIVE, BEFORE_SWITCH
from . import at_or_below, below
from .lookup import prefixes


def reserved_names(session: Session, names: Iterable[str]) -> set[str]:
    """Return those repository names that are covered by an old path or a move's target.

    These repositories belong to the move: they are neither unassigned nor part of a project
    above them.
    """
    move_targets = select(Move.target, Move.kind == "image").where(Move.state.in_(BEFORE_SWITCH))
    old_paths = select(OldPath.path, OldPath.exact)
    is_exact_by_path = dict(session.execute(old_paths.union_all(move_targets)).all())
    if not is_exact_by_path:
        return set()
    return {
        name
        for name in names
        if any(
            path in is_exact_by_path and (path == name or not is_exact_by_path[path])
            for path in prefixes(name)
        )
    }


def is_taken(session: Session, path: str) -> bool:
    """Return whether a path is at, above, or below an old path or the target of a move."""
    old_paths = select(OldPath.path).where(_related_to(OldPath.path, path))
    move_targets = select(Move.target).where(
        _related_to(Move.target, path), Move.state.in_(BEFORE_SWITCH)
    )
    return session.execute(old_paths.union_all(move_targets).limit(1)).first() is not None


def taken_paths(session: Session, paths: Iterable[str]) -> set[str]:
    """Return those paths for which is_taken() is true, using one query for all of them."""
    old_paths = select(OldPath.path)
    move_targets = select(Move.target).where(Move.state.in_(BEFORE_SWITCH))
    reserved = set(session.scalars(old_paths.union_all(move_targets)))
    ancestors = {path for name in reserved for path in prefixes(name)}
    return {path for path in paths if path in ancestors or not reserved.isdisjoint(prefixes(path))}


def require_free(session: Session, path: str, field: str = "name") -> None:
    """Raise Conflict if a path is reserved by a move.

    The message is the same as for any other path that is taken.
    """
    if is_taken(session, path):
        message = f"“{path}” is taken. Choose another name."
        raise Conflict("The path is taken.", {field: message})


def find_unfinished_move(session: Session, path: str) -> Move | None:
    """Return an unfinished move from or to a path at, above, or below ``path``, or None.

    A failed move counts as unfinished: it must be resumed or canceled first.
    """
    is_related = or_(_related_to(Move.source, path), _related_to(Move.target, path))
    is_unfinished = Move.state.in_({*ACTIVE, *BEFORE_SWITCH})
    return session.scalar(select(Move).where(is_unfinished, is_related).limit(1))


def has_old_path(session: Session, path: str) -> bool:
    """Return whether anything at, above, or below a path has an old path that still works."""
    query = select(OldPath.path).where(_related_to(OldPath.new_path, path)).limit(1)
    return session.scalar(query) is not None


def find_old_path_conflict(session: Session, path: str, place: str) -> Conflict | None:
    """Return an error if anything at or below a path has an old path that still works, or None.

    The error prevents a removal that would leave the content of the old path behind. Removing
    only a part of what was moved is allowed: deleting the old path later shows the difference.

    Args:
        path: the path to be removed.
        place: path of the namespace or project that the user maintains, at or above ``path``.
            Only moves of places at or below it are linked.
    """
    query = (
        select(OldPath, Move)
        .join(Move, Move.id == OldPath.move_id)
        .where(at_or_below(OldPath.new_path, path))
        .order_by(OldPath.path)
        .limit(MAX_NAMES)
    )
    rows = session.execute(query).all()
    if not rows:
        return None
    messages = [
        f"“{old_path.path}”, the old path of “{old_path.new_path}”, can still be pulled "
        f"(move {move.id})."
        for old_path, move in rows
    ]
    return Conflict(
        " ".join(messages),
        hint="Retire the old path first, on the page of its move.",
        links=link_moves(session, [move for _, move in rows], place),
    )


def find_move_conflict(session: Session, path: str, place: str) -> Conflict | None:
    """Return an error if a path is affected by an unfinished move, or None.

    The error does not name a move of something outside of ``place``, because the signed-in user
    might not be allowed to see it.

    Args:
        place: path of the namespace or project that the user maintains, at or above ``path``.
    """
    move = find_unfinished_move(session, path)
    if move is None:
        return None
    links = link_moves(session, [move], place)
    description = f" by move {move.id}, from “{move.source}” to “{move.target}”" if links else ""
    hint = "Wait until it is done."
    if move.state == "failed":
        hint = "It has stopped: let it go on, or give it up."
    return Conflict(f"This is being moved already{description}.", hint=hint, links=links)


def link_moves(session: Session, moves: Iterable[Move], place: str) -> list[Link]:
    """Return links to the pages of those moves whose place is at or below the path ``place``."""
    place_ids = {
        move.id: move.new_project_id if move.kind == "image" and move.switched_at else move.place_id
        for move in moves
    }
    query = select(Place.id, Place.path).where(
        Place.id.in_(place_ids.values()), at_or_below(Place.path, place)
    )
    path_by_id = dict(session.execute(query).all())
    return [
        Link(
            f"Go to move {move_id}",
            "moves.show",
            {"path": path_by_id[place_id], "move_id": move_id},
        )
        for move_id, place_id in place_ids.items()
        if place_id in path_by_id
    ]


def find_move_freeze(session: Session, path: str) -> WriteFreeze | None:
    """Return the write freeze that a move has set at exactly this path, or None."""
    query = select(WriteFreeze).where(WriteFreeze.path == path, WriteFreeze.reason == "move")
    return session.scalar(query.execution_options(populate_existing=True))


def _related_to(column: Any, path: str) -> ColumnElement[bool]:
    return or_(column.in_(prefixes(path)), below(column, path))
