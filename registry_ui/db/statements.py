"""Statements that change rows without loading them."""

from __future__ import annotations

from sqlalchemy import CursorResult, Delete, Update
from sqlalchemy.orm import Session


def update_count(session: Session, statement: Update | Delete) -> int:
    """Execute a statement, and return how many rows it changed.

    Objects in the session are not brought up to date: refresh what is used afterward.
    """
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - what an update returns
    return result.rowcount
