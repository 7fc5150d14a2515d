"""Runs enough tests on PostgreSQL, and checks that enough is enough.

Every guarantee is tested on SQLite. With ``--lean``, PostgreSQL with Redis runs the tests for which
nothing else is enough, and those marked ``both_databases``: what is about locks, transactions,
concurrency and processes, and what it takes to send every statement there, too. Each place in the
package that sends a statement on SQLite and never on PostgreSQL is an error at the end.
Cases marked ``thorough`` repeat on a larger scale what others test; ``--lean`` leaves them out.
A test that runs on both counts on PostgreSQL alone: which of its retries happen is chance.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import cache
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from config import ROOT

PACKAGE = str(ROOT / "registry_ui") + "/"
TESTS = str(ROOT / "tests") + "/"
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
    config.addinivalue_line("markers", "thorough: left out with --lean; others test the same")
    if config.getoption("lean"):
        config.pluginmanager.register(_Places(), PLACES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what one of the databases is enough for, and what others test."""
    if not config.getoption("lean"):
        return
    everything = {item.nodeid for item in items}
    left_out = [item for item in items if _is_left_out(item, everything)]
    config.hook.pytest_deselected(items=left_out)
    dropped = set(left_out)
    items[:] = [item for item in items if item not in dropped]
    config.pluginmanager.get_plugin(PLACES).collected = {item.nodeid for item in items}


def _is_left_out(item: pytest.Item, everything: Collection[str]) -> bool:
    """Whether a test is thorough, or one of PostgreSQL that runs on SQLite, too."""
    if item.get_closest_marker("thorough") is not None:
        return True
    callspec = getattr(item, "callspec", None)
    return (
        callspec is not None
        and callspec.params.get("storage") == "postgresql"
        and item.nodeid.replace(*reversed(DIALECTS)) in everything
        and item.get_closest_marker("both_databases") is None
    )


class _Places:
    """Where in the package statements were sent, on which database."""

    def __init__(self) -> None:
        self.seen: set[Place] = set()
        self.collected: set[str] = set()
        self._is_counted = True
        event.listen(Engine, "before_cursor_execute", self._note)

    def _note(self, connection: Connection, *details: Any) -> None:
        context, dialect = details[-2], connection.dialect.name
        if dialect == "sqlite" and not self._is_counted:
            return
        line = None if context.compiled is None else _line_of(sys._getframe(1))
        if line is None:  # not ours, or what a driver alone needs
            return
        self.seen.add((dialect, line))
        for verb in ("insert", "update", "delete"):
            if getattr(context, f"is{verb}"):
                # When a session writes what has changed, the line alone does not say what.
                self.seen.add((dialect, f"{verb} {context.compiled.statement.table.name}"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Note whose statements count from here on."""
        self._is_counted = item.nodeid.replace(*DIALECTS) not in self.collected - {item.nodeid}

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
        return sorted(on["sqlite"] - on["postgresql"])


def _line_of(frame: FrameType | None) -> str | None:
    """Return the line of the package that led to a statement; None for a test's or a migration's.

    A test's fake of a registry may send statements, too, with the package further out.
    """
    while frame is not None:
        module = _module_of(frame.f_code.co_filename)
        if module is not None:
            return f"{module}:{frame.f_lineno}" if module else None
        frame = frame.f_back
    return None


@cache
def _module_of(name: str) -> str | None:
    """Return the path of a module within the package; "" for a test's, None for others."""
    if name.startswith(TESTS):
        return ""
    return name.removeprefix(PACKAGE) if name.startswith(PACKAGE) else None
