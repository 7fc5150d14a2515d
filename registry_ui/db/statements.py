"""Statements that change rows without loading them."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import CursorResult, Delete, Select, Update
from sqlalchemy.orm import Session

#: Type of a query for any columns.
AnySelect: TypeAlias = Select[*tuple[Any, ...]]


def update_count(session: Session, statement: Update | Delete) -> int:
    """Execute a statement and return the number of rows that it changed.

    Objects in the session are not updated, so refresh those that are used afterward.
    """
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - what an update returns
    return result.rowcount
