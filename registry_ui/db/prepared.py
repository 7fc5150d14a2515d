"""SQL that differs between SQLite and PostgreSQL, and compiled queries for hot paths."""

from __future__ import annotations

from collections import deque, namedtuple
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import CursorResult, Engine, Text, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from ..models import Base
from .statements import AnySelect


def insert_if_absent(session: Session, model: type[Base], **values: Any) -> bool:
    """Insert a row unless it violates a unique constraint; return whether it was inserted."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    # Without this option, SQLAlchemy closes the cursor of an ORM insert before its row count is
    # read.
    result = session.execute(
        insert(model).values(**values).on_conflict_do_nothing(),
        execution_options={"preserve_rowcount": True},
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - narrows the type
    return result.rowcount > 0


def insert_all_if_absent(session: Session, model: type[Base], rows: list[dict[str, Any]]) -> None:
    """Insert all rows that do not violate a unique constraint, with one statement.

    The rows are sorted by primary key, because two transactions that insert the same rows in
    different orders would deadlock.

    Args:
        rows: the values of each row by column name, including the primary key.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    keys = [column.key for column in model.__table__.primary_key]
    sorted_rows = sorted(rows, key=lambda row: [row[key] for key in keys])
    session.execute(insert(model).on_conflict_do_nothing(), sorted_rows)


class string_agg(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """SQL aggregate that joins a text column's values with newlines; cheaper than many rows."""

    name = "string_agg"
    type = Text()
    inherit_cache = True


@compiles(string_agg, "sqlite")
def _string_agg_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, char(10))"


@compiles(string_agg, "postgresql")
def _string_agg_on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, chr(10))"


class lowered(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """SQL function that lowercases any script, because SQLite's ``lower`` handles only ASCII."""

    name = "lowered"
    type = Text()
    inherit_cache = True


@compiles(lowered, "sqlite")
def _lowered_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"unicode_lower({compiler.process(element.clauses, **options)})"


@compiles(lowered, "postgresql")
def _lowered_on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


class CompiledQuery:
    """A query that is compiled once and then run directly by the database driver.

    It is used by the token endpoint, for which every Docker command waits, and for lists of
    thousands of tags: SQLAlchemy takes twenty times as long to build a query and convert its rows
    as SQLite takes to execute it (``make bench-token``). The query reads only committed data,
    outside of any session, on separate connections.

    Args:
        statement: the query. Its parameters are passed by name, as text or numbers.
    """

    def __init__(self, statement: AnySelect) -> None:
        self.statement = statement
        names = [str(column.key) for column in statement.selected_columns]
        self._row: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024 - by query
        self._compiled: dict[str, _Compiled] = {}

    def first(self, engine: Engine, **values: Any) -> Any:
        """Return the first row as a named tuple, or None if there is no row."""
        return next(iter(self.all(engine, **values)), None)

    def all(self, engine: Engine, **values: Any) -> list[Any]:
        """Return all rows as named tuples.

        Raises:
            sqlalchemy.exc.DBAPIError: the query failed or the connection was lost.
        """
        return list(map(self._row._make, self.tuples(engine, **values)))

    def tuples(self, engine: Engine, **values: Any) -> Sequence[Sequence[Any]]:
        """Return all rows as plain sequences, which is faster for thousands of rows.

        Raises:
            sqlalchemy.exc.DBAPIError: the query failed or the connection was lost.
        """
        query = self._compiled.get(engine.dialect.name) or self._compile(engine)
        rows = _run(engine, query.text, query.arrange(values))
        return list(map(query.convert_row, rows)) if query.converters else rows

    def _compile(self, engine: Engine) -> _Compiled:
        statement = self.statement.compile(dialect=engine.dialect)
        order = tuple(statement.positiontup or ()) if statement.positional else None
        converters = tuple(
            (number, convert)
            for number, column in enumerate(self.statement.selected_columns)
            if (
                convert := column.type.dialect_impl(engine.dialect).result_processor(
                    engine.dialect, None
                )
            )
        )
        query = self._compiled[engine.dialect.name] = _Compiled(str(statement), order, converters)
        return query


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A query compiled for one dialect: SQL text, parameter order, and column converters."""

    text: str
    order: tuple[str, ...] | None
    converters: tuple[tuple[int, Callable[[Any], Any]], ...]

    def arrange(self, values: dict[str, Any]) -> Any:
        """Return parameters in the form that the driver expects: by position or by name."""
        return values if self.order is None else tuple(values[name] for name in self.order)

    def convert_row(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return a row with its values converted to their Python types."""
        values = list(row)
        for number, convert in self.converters:
            if values[number] is not None:
                values[number] = convert(values[number])
        return values


class _ReadConnectionPool:
    """Pool of the database connections that compiled queries use for one engine.

    The engine's own pool would also work, but would take 10% of the token endpoint's time.
    Connections are in autocommit mode, so that no transaction stays open between two queries.
    """

    def __init__(self, engine: Engine) -> None:
        self._idle: deque[Any] = deque()
        event.listen(engine, "engine_disposed", self._close)

    def rows(self, engine: Engine, text: str, parameters: Any) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows; reconnect once if an idle connection was lost."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._read(engine, self._connect(engine), text, parameters)
        try:
            return self._read(engine, connection, text, parameters)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The connection was lost while idle, for example because the server was restarted, so the
        # other idle connections are lost too.
        self._close(engine)
        return self._read(engine, self._connect(engine), text, parameters)

    def _read(
        self, engine: Engine, connection: Any, text: str, parameters: Any
    ) -> Sequence[Sequence[Any]]:
        try:
            cursor = connection.cursor()
            cursor.execute(text, parameters)
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
            cursor.close()
        except engine.dialect.loaded_dbapi.Error as error:
            is_disconnect = engine.dialect.is_disconnect(error, connection, None)
            connection.close()
            raise _sqlalchemy_error_from(
                engine, error, text, is_disconnect=is_disconnect
            ) from error
        self._idle.append(connection)
        return rows

    def _connect(self, engine: Engine) -> Any:
        try:
            fairy = engine.raw_connection()
        except engine.dialect.loaded_dbapi.Error as error:
            raise _sqlalchemy_error_from(engine, error, "", is_disconnect=True) from error
        connection: Any = fairy.dbapi_connection
        fairy.detach()
        engine.dialect.set_isolation_level(connection, "AUTOCOMMIT")
        return connection

    def _close(self, _engine: Engine) -> None:
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()


def _sqlalchemy_error_from(
    engine: Engine, error: Exception, text: str, *, is_disconnect: bool
) -> BaseException:
    base = engine.dialect.loaded_dbapi.Error
    return DBAPIError.instance(
        text, None, error, base, connection_invalidated=is_disconnect, dialect=engine.dialect
    )


_pools: WeakKeyDictionary[Engine, _ReadConnectionPool] = WeakKeyDictionary()


def _run(engine: Engine, text: str, parameters: Any) -> Sequence[Sequence[Any]]:
    pool = _pools.get(engine)
    if pool is None:
        pool = _pools.setdefault(engine, _ReadConnectionPool(engine))
    return pool.rows(engine, text, parameters)
