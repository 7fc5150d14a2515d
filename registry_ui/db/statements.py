"""Statements that change rows without loading them."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import CursorResult, Delete, Select, Update
from sqlalchemy.orm import Session

#: A query of any columns.
AnySelect: TypeAlias = Select[*tuple[Any, ...]]


def update_count(session: Session, statement: Update | Delete) -> int:
    """Execute a statement, and return how many rows it changed.

    Objects in the session are not brought up to date: refresh what is used afterward.
    """
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - what an update returns
    return result.rowcount
