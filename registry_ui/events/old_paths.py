"""Reaction to events about an old path that is still served after a move."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..access.lookup import prefixes
from ..models import Move, OldPath, utc_now


def request_comparison(session: Session, path: str) -> None:
    """Schedule a comparison of an old path with the new path, because the old path has changed."""
    moves = select(OldPath.move_id).where(OldPath.path.in_(prefixes(path)))
    session.execute(
        update(Move)
        .where(Move.id.in_(moves))
        .values(compare_at=utc_now())
        .execution_options(synchronize_session=False)
    )
