"""Health checks of the database, the registry, the worker, and the job queue."""

from __future__ import annotations

from datetime import timedelta

from flask import current_app
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from .db.session import db, end_read
from .distribution.errors import RegistryError
from .jobs.queue import HEARTBEAT_SECONDS, WORKER, redis_problem
from .models import Heartbeat, RegistryEvent, utc_now
from .registry_connection import registry

#: Age of the oldest unprocessed registry event from which the worker counts as stuck.
MAX_EVENT_AGE = timedelta(seconds=60)


def health() -> list[tuple[str, bool, str]]:
    """Return (name, is healthy, detail) for the database, the registry, and the worker."""
    return [
        ("database", *_check_database()),
        ("registry", *_check_registry()),
        ("worker", *_check_worker()),
    ]


def queue_health() -> list[tuple[str, bool, str]]:
    """Return (name, is healthy, detail) for the Redis job queue; empty if Redis is not used."""
    if current_app.config["SETTINGS"].redis_url is None:
        return []
    end_read_quietly()
    problem = redis_problem(current_app.extensions["huey"])
    if problem is None:
        return [("job queue", True, "Redis answers")]
    detail = f"Redis does not answer ({problem}). Work is stored, and starts when it answers again"
    return [("job queue", False, detail)]


def _check_database() -> tuple[bool, str]:
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return False, type(error).__name__
    return True, db.engine.dialect.name


def _check_registry() -> tuple[bool, str]:
    end_read_quietly()
    try:
        version = registry().ping()
    except RegistryError as error:
        return False, str(error)
    return True, version


def _check_worker() -> tuple[bool, str]:
    try:
        at = db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == WORKER))
        oldest = db.session.scalar(
            select(RegistryEvent.received_at)
            .where(RegistryEvent.status == "pending")
            .order_by(RegistryEvent.id)
            .limit(1)
        )
    except SQLAlchemyError:
        db.session.rollback()
        return False, "unknown: the database does not answer"
    if at is None:
        return False, "has never run"
    age = utc_now() - at
    if age > timedelta(seconds=4 * HEARTBEAT_SECONDS):
        return False, f"gave no sign of life for {int(age.total_seconds())} seconds"
    if oldest is not None and utc_now() - oldest > MAX_EVENT_AGE:
        wait_seconds = int((utc_now() - oldest).total_seconds())
        return False, f"lives, but an event has waited for {wait_seconds} seconds"
    return True, f"last seen {int(age.total_seconds())} seconds ago"


def end_read_quietly() -> None:
    """End the session's read transaction; ignore the error if the database does not answer."""
    try:
        end_read()
    except SQLAlchemyError:
        db.session.rollback()
