"""SQL statements that change rows without loading them, and the type of a query."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import CursorResult, Delete, Select, Update
from sqlalchemy.orm import Session

#: Type of a query for any columns.
AnySelect: TypeAlias = Select[*tuple[Any, ...]]


def update_count(session: Session, statement: Update | Delete) -> int:
    """Execute a statement and return the number of rows that it changed or deleted.

    Objects in the session are not updated, so refresh objects that are used afterward.
    """
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - what an update returns
    return result.rowcount
