"""Paths reserved by moves: old paths that can still be pulled, and targets of active moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from ..enumerations import NAMED
from ..errors import Conflict, Link
from ..models import Fence, Move, OldPath, Place
from ..models.move import ACTIVE, BEFORE_SWITCH
from . import at_or_below, below
from .lookup import prefixes


def reserved_names(session: Session, names: Iterable[str]) -> set[str]:
    """Return those repository names that are covered by an old path or a move's target.

    These repositories belong to the move: they are neither unassigned nor part of a project
    above them.
    """
    under_way = select(Move.target, Move.kind == "image").where(Move.state.in_(BEFORE_SWITCH))
    former = select(OldPath.path, OldPath.exact)
    held = dict(session.execute(former.union_all(under_way)).all())
    if not held:
        return set()
    return {
        name
        for name in names
        if any(path in held and (path == name or not held[path]) for path in prefixes(name))
    }


def is_taken(session: Session, path: str) -> bool:
    """Return whether a path is at, above, or below an old path or the target of a move."""
    former = select(OldPath.path).where(_related_to(OldPath.path, path))
    reserved = select(Move.target).where(
        _related_to(Move.target, path), Move.state.in_(BEFORE_SWITCH)
    )
    return session.execute(former.union_all(reserved).limit(1)).first() is not None


def taken_paths(session: Session, paths: Iterable[str]) -> set[str]:
    """Return those paths for which is_taken() is true, using one query for all of them."""
    former = select(OldPath.path)
    reserved = select(Move.target).where(Move.state.in_(BEFORE_SWITCH))
    held = set(session.scalars(former.union_all(reserved)))
    above = {path for name in held for path in prefixes(name)}
    return {path for path in paths if path in above or not held.isdisjoint(prefixes(path))}


def require_free(session: Session, path: str, field: str = "name") -> None:
    """Raise Conflict if a path is reserved by a move.

    The message is the same as for any other path that is taken.
    """
    if is_taken(session, path):
        words = f"“{path}” is taken. Choose another name."
        raise Conflict("The path is taken.", {field: words})


def moving(session: Session, path: str) -> Move | None:
    """Return an unfinished move from or to a path at, above, or below this one, or None.

    A failed move counts as unfinished: it must be resumed or canceled first.
    """
    either = or_(_related_to(Move.source, path), _related_to(Move.target, path))
    unfinished = Move.state.in_({*ACTIVE, *BEFORE_SWITCH})
    return session.scalar(select(Move).where(unfinished, either).limit(1))


def has_former(session: Session, path: str) -> bool:
    """Return whether anything at, above, or below a path has an old path that still works."""
    query = select(OldPath.path).where(_related_to(OldPath.now, path)).limit(1)
    return session.scalar(query) is not None


def find_former(session: Session, path: str, place: str) -> Conflict | None:
    """Return an error if anything at or below a path has an old path that still works, or None.

    It prevents a removal, which would leave the content of the old path behind. Removing only
    a part of what was moved is allowed: deleting the old path later shows the difference.

    Args:
        path: the path to be removed.
        place: path of the place that the reader maintains, at or above ``path``. Only moves
            of places there are linked.
    """
    query = (
        select(OldPath, Move)
        .join(Move, Move.id == OldPath.move_id)
        .where(at_or_below(OldPath.now, path))
        .order_by(OldPath.path)
        .limit(NAMED)
    )
    rows = session.execute(query).all()
    if not rows:
        return None
    words = [
        f"“{former.path}”, the old name of “{former.now}”, can still be pulled (move {move.id})."
        for former, move in rows
    ]
    return Conflict(
        " ".join(words),
        hint="Retire the old name first, on the page of its move.",
        links=link_moves(session, [move for _, move in rows], place),
    )


def find_move(session: Session, path: str, place: str) -> Conflict | None:
    """Return an error if a path is affected by an unfinished move, or None.

    The error does not name a move of something outside of ``place``, because the reader might
    not be allowed to see it.

    Args:
        place: path of the place that the reader maintains, at or above ``path``.
    """
    move = moving(session, path)
    if move is None:
        return None
    links = link_moves(session, [move], place)
    named = f" by move {move.id}, from “{move.source}” to “{move.target}”" if links else ""
    hint = "Wait until it is done."
    if move.state == "failed":
        hint = "It has stopped: let it go on, or give it up."
    return Conflict(f"This is being moved already{named}.", hint=hint, links=links)


def link_moves(session: Session, moves: Iterable[Move], place: str) -> list[Link]:
    """Return links to the pages of those moves whose place is at or below the path ``place``."""
    places = {
        move.id: move.new_project_id if move.kind == "image" and move.switched_at else move.place_id
        for move in moves
    }
    query = select(Place.id, Place.path).where(
        Place.id.in_(places.values()), at_or_below(Place.path, place)
    )
    paths = dict(session.execute(query).all())
    return [
        Link(f"Go to move {move_id}", "moves.show", {"path": paths[found], "move_id": move_id})
        for move_id, found in places.items()
        if found in paths
    ]


def fence_of(session: Session, path: str) -> Fence | None:
    """Return the write freeze that a move has set at exactly this path, or None."""
    query = select(Fence).where(Fence.path == path, Fence.reason == "move")
    return session.scalar(query.execution_options(populate_existing=True))


def _related_to(column: Any, path: str) -> ColumnElement[bool]:
    return or_(column.in_(prefixes(path)), below(column, path))
