"""The Flask extensions, which create_app() binds to the application, and write transactions."""

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

# Objects stay readable after a commit, because services commit early: no transaction is allowed
# to be open during a call to the registry.
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
    """End the session's read transaction, so that no lock is held during slow work.

    It commits, because a rollback would expire the loaded objects.

    Raises:
        RuntimeError: the session has changes, which are only allowed inside writing().
    """
    session = db.session
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("changes were made outside of writing()")
    session.commit()


@contextmanager
def writing() -> Iterator[Session]:
    """Run the block in a write transaction: commit at the end, roll back on any error.

    The session's read transaction is ended first. Otherwise SQLite would refuse to write, without
    waiting, if a different connection has written since that transaction began to read.

    Raises:
        RuntimeError: the calls are nested, or the session already has changes.
    """
    if _in_writing.get():
        raise RuntimeError("writing() inside writing(): write transactions can't be nested")
    session = db.session
    end_read()
    token = _in_writing.set(True)
    try:
        yield session()
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        _in_writing.reset(token)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _prepare_sqlite(engine: Engine) -> None:
    """Configure SQLite connections: pragmas, a Unicode ``lower``, and how transactions begin.

    A transaction of writing() begins with BEGIN IMMEDIATE, so that it waits for other writers.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # on_begin() emits BEGIN instead of the driver.
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
    """Set the time zone of PostgreSQL connections to UTC, regardless of the server's default.

    In a different time zone, the last hours of the year 9999 can exceed the dates of Python.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.execute("SET TIME ZONE 'UTC'")
        connection.commit()
