"""Runs enough tests on PostgreSQL, and checks that enough is enough.

Everything runs on SQLite. With ``--lean``, PostgreSQL with Redis runs the contract and the
end-to-end tests, and of the others those marked ``both_databases``: what is about locks,
transactions and concurrency, and what it takes to send every statement there, too. Each place
in the package that sends a statement on SQLite and never on PostgreSQL is an error at the end.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from config import ROOT

PACKAGE = str(ROOT / "registry_ui") + "/"
#: Places that PostgreSQL never gets to, each with the reason.
SQLITE_ONLY: dict[str, str] = {}
PLACES = "statement_places"

DIALECTS = ("sqlite", "postgresql")

Place = tuple[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--lean``."""
    parser.addoption(
        "--lean",
        action="store_true",
        help="on PostgreSQL, run what is marked both_databases, and check that it is enough",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to note the places, in the worker processes and in the one that has none."""
    config.addinivalue_line("markers", "both_databases: runs on PostgreSQL with --lean, too")
    if config.getoption("lean"):
        config.pluginmanager.register(_Places(), PLACES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what one of the databases is enough for."""
    if not config.getoption("lean"):
        return
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return (
        callspec is not None
        and callspec.params.get("storage") == "postgresql"
        and "web" in item.path.parts
        and item.get_closest_marker("both_databases") is None
    )


class _Places:
    """Where in the package statements were sent, on which database."""

    def __init__(self) -> None:
        self.seen: set[Place] = set()
        event.listen(Engine, "before_cursor_execute", self._note)

    def _note(self, connection: Connection, *details: Any) -> None:
        line = _line_of(sys._getframe(1))
        if line is None:  # a migration, or the test itself
            return
        context = details[-2]
        dialect = connection.dialect.name
        self.seen.add((dialect, line))
        for verb in ("insert", "update", "delete"):
            if context.compiled is not None and getattr(context, f"is{verb}"):
                # When a session writes what has changed, the line alone does not say what.
                self.seen.add((dialect, f"{verb} {context.compiled.statement.table.name}"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Add what a worker saw."""
        del error
        self.seen |= {tuple(place) for place in getattr(node, "workeroutput", {}).get(PLACES, ())}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Hand over what was seen; where all of it is, fail for what is missing."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[PLACES] = sorted(self.seen)
        elif exitstatus == pytest.ExitCode.OK and self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the places, and what to do."""
        missing = self.missing()
        if missing:
            terminalreporter.section("statements that no test sends to PostgreSQL", red=True)
            for place in missing:
                terminalreporter.line(place)
            terminalreporter.line("Mark a test that gets there: pytest.mark.both_databases")

    def missing(self) -> list[str]:
        """The places that only SQLite was asked from."""
        on = {name: {place for dialect, place in self.seen if dialect == name} for name in DIALECTS}
        return sorted(on["sqlite"] - on["postgresql"] - set(SQLITE_ONLY))


def _line_of(frame: FrameType | None) -> str | None:
    """Return the line of the package that led to a statement."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE):
            return f"{name.removeprefix(PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back
    return None
