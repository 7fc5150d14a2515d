"""Names that a move has: old ones that can still be pulled, new ones that are on their way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from ...access import at_or_below, below
from ...access.lookup import prefixes
from ...errors import Clash
from ...models import Fence, FormerPath, Move
from ...models.move import ACTIVE, BEFORE_SWITCH


def spoken_for(session: Session, names: Iterable[str]) -> set[str]:
    """Return those repositories that a move has: under an old name, or not yet under the new.

    They are neither unassigned nor anybody else's, whatever stands above them.
    """
    under_way = select(Move.target, Move.kind == "image").where(Move.state.in_(BEFORE_SWITCH))
    former = select(FormerPath.path, FormerPath.exact)
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
    former = select(FormerPath.path).where(_near(FormerPath.path, path))
    reserved = select(Move.target).where(_near(Move.target, path), Move.state.in_(BEFORE_SWITCH))
    return session.execute(former.union_all(reserved).limit(1)).first() is not None


def taken_among(session: Session, paths: Iterable[str]) -> set[str]:
    """Return those of many paths that are taken, as is_taken() says of one, by one query."""
    former = select(FormerPath.path)
    reserved = select(Move.target).where(Move.state.in_(BEFORE_SWITCH))
    held = set(session.scalars(former.union_all(reserved)))
    above = {path for name in held for path in prefixes(name)}
    return {path for path in paths if path in above or not held.isdisjoint(prefixes(path))}


def require_free(session: Session, path: str, field: str = "name") -> None:
    """Raise Clash for a path that a move has: the words of any other that is taken."""
    if is_taken(session, path):
        words = f"“{path}” is taken. Choose another name."
        raise Clash("The path is taken.", {field: words})


def moving(session: Session, path: str) -> Move | None:
    """Return a move of what lies at, above or below a path, or to there, that has not ended.

    One that has stopped counts: it goes on, or is given up, before anything else.
    """
    either = or_(_near(Move.source, path), _near(Move.target, path))
    unfinished = Move.state.in_({*ACTIVE, *BEFORE_SWITCH})
    return session.scalar(select(Move).where(unfinished, either).limit(1))


def has_former(session: Session, path: str) -> bool:
    """Whether old names of what lies at, above or below a path can still be pulled."""
    query = select(FormerPath.path).where(_near(FormerPath.now, path)).limit(1)
    return session.scalar(query) is not None


def require_no_former(session: Session, path: str) -> None:
    """Raise Clash where old names of a place, or of something in it, can still be pulled.

    What they hold would stay. Parts of something that has moved can go: whoever retires its
    old name is shown what the new one has no more.
    """
    query = select(FormerPath.path).where(at_or_below(FormerPath.now, path)).limit(1)
    if session.scalar(query) is not None:
        raise Clash(
            "An old name of this, or of a part of it, can still be pulled.",
            hint="Retire the old name first, on the page of its move.",
        )


def fence_of(session: Session, path: str) -> Fence | None:
    """Return the fence that a move has raised at a path."""
    query = select(Fence).where(Fence.path == path, Fence.reason == "move")
    return session.scalar(query.execution_options(populate_existing=True))


def _near(column: Any, path: str) -> ColumnElement[bool]:
    return or_(column.in_(prefixes(path)), below(column, path))
