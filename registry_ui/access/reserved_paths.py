"""Names that a move has: old ones that can still be pulled, new ones that are on their way."""

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
    """Return those repositories that a move has: under an old name, or not yet under the new.

    They are neither unassigned nor anybody else's, whatever stands above them.
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
    """Whether a path is, holds or lies below an old name, or one that a move has reserved."""
    former = select(OldPath.path).where(_related_to(OldPath.path, path))
    reserved = select(Move.target).where(
        _related_to(Move.target, path), Move.state.in_(BEFORE_SWITCH)
    )
    return session.execute(former.union_all(reserved).limit(1)).first() is not None


def taken_paths(session: Session, paths: Iterable[str]) -> set[str]:
    """Return those of many paths that are taken, as is_taken() says of one, by one query."""
    former = select(OldPath.path)
    reserved = select(Move.target).where(Move.state.in_(BEFORE_SWITCH))
    held = set(session.scalars(former.union_all(reserved)))
    above = {path for name in held for path in prefixes(name)}
    return {path for path in paths if path in above or not held.isdisjoint(prefixes(path))}


def require_free(session: Session, path: str, field: str = "name") -> None:
    """Raise Clash for a path that a move has: the words of any other that is taken."""
    if is_taken(session, path):
        words = f"“{path}” is taken. Choose another name."
        raise Conflict("The path is taken.", {field: words})


def moving(session: Session, path: str) -> Move | None:
    """Return a move of what lies at, above or below a path, or to there, that has not ended.

    One that has stopped counts: it goes on, or is given up, before anything else.
    """
    either = or_(_related_to(Move.source, path), _related_to(Move.target, path))
    unfinished = Move.state.in_({*ACTIVE, *BEFORE_SWITCH})
    return session.scalar(select(Move).where(unfinished, either).limit(1))


def has_former(session: Session, path: str) -> bool:
    """Whether old names of what lies at, above or below a path can still be pulled."""
    query = select(OldPath.path).where(_related_to(OldPath.now, path)).limit(1)
    return session.scalar(query) is not None


def find_former(session: Session, path: str, place: str) -> Conflict | None:
    """Return the error for a removal of what has old names that can still be pulled, or None.

    What they hold would stay. Parts of something that has moved can go: whoever retires its
    old name is shown what the new one has no more.

    Args:
        place: the path of the place that the reader looks after, at or above ``path``.
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
    """Return the error for a change of what is being moved, or None.

    A move of something outside of ``place`` is not named: the reader may not see it.

    Args:
        place: as in find_former().
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
    """Return links to the pages of those moves whose place is ``place`` or lies below it."""
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
    """Return the fence that a move has raised at a path."""
    query = select(Fence).where(Fence.path == path, Fence.reason == "move")
    return session.scalar(query.execution_options(populate_existing=True))


def _related_to(column: Any, path: str) -> ColumnElement[bool]:
    return or_(column.in_(prefixes(path)), below(column, path))
