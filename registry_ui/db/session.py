"""The Flask extensions, made once and bound by create_app; and how transactions begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from flask import Flask
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from ..models import Base

# Objects stay readable after a commit: services commit early, because no
# transaction may be open while the registry is asked.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate(render_as_batch=True, compare_type=True)
login_manager = LoginManager()
csrf = CSRFProtect()

_in_writing: ContextVar[bool] = ContextVar("in_writing", default=False)


def init_app(app: Flask) -> None:
    """Bind every extension to the application."""
    db.init_app(app)
    migrate.init_app(app, db)
    login_manager.init_app(app)
    csrf.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            _prepare_sqlite(db.engine)
        else:
            _prepare_postgresql(db.engine)


def end_read() -> None:
    """End a transaction that only read, so that nothing is held during slow work.

    What was read stays readable (a rollback would expire it).
    """
    session = db.session
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("changes were made outside of writing()")
    session.commit()


@contextmanager
def writing() -> Iterator[Session]:
    """One transaction that writes; commits at the end, rolls back on any error.

    What the session had read before is let go first: SQLite refuses a
    transaction that began as a reader and turns into a writer behind another
    writer's back, at once and without waiting.
    """
    if _in_writing.get():
        raise RuntimeError("writing() inside writing(): one deed is one transaction")
    session = db.session
    end_read()
    before = _in_writing.set(True)
    try:
        yield session()
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        _in_writing.reset(before)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _prepare_sqlite(engine: Engine) -> None:
    """Write-ahead log, foreign keys, patience, and a BEGIN that says what it is for."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we emit BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            "busy_timeout=15000",
            "synchronous=NORMAL",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        connection.create_function("unicode_lower", 1, _lower, deterministic=True)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if _in_writing.get() else "BEGIN")


def _prepare_postgresql(engine: Engine) -> None:
    """Speak UTC, whatever the server, the role or the environment say.

    Elsewhere the last hours of the year 9999 are a date that Python does not have.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("SET TIME ZONE 'UTC'")
        connection.commit()
