"""Waiting for the moment when a transaction waits for a lock of the database."""

from __future__ import annotations

import time

from sqlalchemy import text

from registry_ui.db.session import db

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def wait_until_locked(thread):
    """Wait until a connection waits for a lock, or a thread has ended."""
    if db.engine.dialect.name == "sqlite":
        return  # Only one transaction can write, so there are no two orders.
    end = time.monotonic() + 60
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while thread.is_alive() and not connection.scalar(WAITING):
            assert time.monotonic() < end
