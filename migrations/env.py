"""Alembic environment: runs migrations with the application's engine and models."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import Connection

from registry_ui.db.session import db

config = context.config


def run_offline() -> None:
    """Print the SQL of the migrations, without a database connection."""
    url = current_app.config["SQLALCHEMY_DATABASE_URI"]
    context.configure(url=url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations against the configured database, in one transaction."""
    with db.engine.connect() as connection, without_foreign_keys(connection):
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()
            require_foreign_keys(connection)
        connection.commit()


@contextmanager
def without_foreign_keys(connection: Connection) -> Iterator[None]:
    """Disable foreign keys, so that SQLite can replace a table and keep the rows that refer to it.

    SQLite alters a table by copying it and dropping the old one. Dropping a table also deletes the
    rows that refer to it with ON DELETE CASCADE. Foreign keys can only be disabled outside of a
    transaction (https://sqlite.org/lang_altertable.html, section 7).
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        if connection.in_transaction():
            connection.rollback()
        driver.execute("PRAGMA foreign_keys=ON")


def require_foreign_keys(connection: Connection) -> None:
    """Raise RuntimeError if a migration breaks foreign keys, so that it is rolled back."""
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise RuntimeError(f"the migration breaks foreign keys: {broken[:10]}")


if context.is_offline_mode():
    run_offline()
else:
    run_online()
