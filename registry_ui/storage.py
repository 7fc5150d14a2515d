"""Statements that both databases write in their own dialect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CursorResult
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .models import Base


def insert_new(session: Session, model: type[Base], **values: Any) -> bool:
    """Insert a row unless a unique constraint says that it is there; return whether it was new."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    # An INSERT of a model gives its cursor back before anyone asks how many rows it was.
    result = session.execute(
        insert(model).values(**values).on_conflict_do_nothing(),
        execution_options={"preserve_rowcount": True},
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - narrows the type
    return result.rowcount > 0
