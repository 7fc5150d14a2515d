"""Statements that both databases write in their own dialect, and such as must be quick."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, g
from sqlalchemy import CursorResult, Engine, Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from .models import Base


def insert_new(session: Session, model: type[Base], **values: Any) -> bool:
    """Insert a row unless a unique constraint says that it is there; return whether it was new."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    # An INSERT of a model gives its cursor back before anyone asks how many rows it was.
    result = session.execute(
        insert(model).values(**values).on_conflict_do_nothing(),
        execution_options={"preserve_rowcount": True},
    )
    assert isinstance(result, CursorResult)  # noqa: S101 - narrows the type
    return result.rowcount > 0


def init_app(app: Flask) -> None:
    """Give back, at the end of an application context, the connection that it read by."""
    app.teardown_appcontext(give_back)


def give_back(_error: BaseException | None = None) -> None:
    """Return the connection of prepared queries, and with it what it may hold."""
    connection = g.pop("reading", None)
    if connection is not None:
        connection.close()


class Prepared:
    """A query that is compiled once and then run by the driver itself.

    For the token endpoint, which every docker command waits for: putting a query together
    and taking its rows apart costs SQLAlchemy twenty times what SQLite needs to answer it
    (``make bench-token``). It reads only, outside of any session, what is committed; all
    of them within one application context share a connection.

    Args:
        statement: its parameters are given by name, as text or numbers.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        names = [column.key for column in statement.selected_columns]
        self._row = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024
        self._compiled: dict[str, _Compiled] = {}

    def first(self, engine: Engine, **values: Any) -> Any:
        """Return the first row, as a named tuple, or None."""
        return next(iter(self.all(engine, **values)), None)

    def all(self, engine: Engine, **values: Any) -> list[Any]:
        """Return all rows, as named tuples.

        Raises:
            sqlalchemy.exc.DBAPIError: as for any other query.
        """
        compiled = self._compiled.get(engine.dialect.name) or self._compile(engine)
        rows = _run(engine, compiled.text, compiled.arrange(values))
        make = self._row._make
        return [make(compiled.converted(row)) for row in rows]

    def _compile(self, engine: Engine) -> _Compiled:
        compiled = self.statement.compile(dialect=engine.dialect)
        order = tuple(compiled.positiontup or ()) if compiled.positional else None
        converters = tuple(
            (number, convert)
            for number, column in enumerate(self.statement.selected_columns)
            if (
                convert := column.type.dialect_impl(engine.dialect).result_processor(
                    engine.dialect, None
                )
            )
        )
        made = self._compiled[engine.dialect.name] = _Compiled(str(compiled), order, converters)
        return made


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A query of one dialect: its text, the order of its parameters, what columns need."""

    text: str
    order: tuple[str, ...] | None
    converters: tuple[tuple[int, Callable[[Any], Any]], ...]

    def arrange(self, values: dict[str, Any]) -> Any:
        """Return the parameters as the driver takes them: in order, or by name."""
        return values if self.order is None else tuple(values[name] for name in self.order)

    def converted(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return a row's values as Python has them."""
        if not self.converters:
            return row
        values = list(row)
        for number, convert in self.converters:
            values[number] = convert(values[number])
        return values


def _run(engine: Engine, text: str, parameters: Any) -> Sequence[Sequence[Any]]:
    if "reading" not in g:
        g.reading = engine.raw_connection()
    connection = g.reading
    try:
        cursor = connection.cursor()
        cursor.execute(text, parameters)
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
        cursor.close()
    except engine.dialect.loaded_dbapi.Error as error:
        del g.reading
        connection.invalidate(error)  # it may be broken, or in a transaction that failed
        base = engine.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(text, None, error, base, dialect=engine.dialect) from error
    return rows
