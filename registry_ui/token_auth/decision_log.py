"""Log of token decisions, written in the background so that no request waits for it.

A token decision is a recorded answer of the token endpoint. Decisions are buffered in memory and
written once a second by a separate thread. Equal decisions within that second become one row
with a count. If the buffer is full, decisions are dropped and only their number is logged. Most
decisions about requests without credentials are aggregated (visitors.py).
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Flask, current_app
from sqlalchemy import insert, update

from ..db.session import db, writing
from ..exception_log import log_exceptions
from ..models import TokenDecision, utc_now
from .visitors import ACCOUNT, Crowd, DecisionRecord, VisitorLimits

__all__ = ["DecisionLog", "DecisionRecord", "decision_log"]

logger = logging.getLogger(__name__)

INTERVAL = 1.0
#: Maximum number of different decisions buffered within one interval, and maximum number of
#: buffered decisions about requests without valid credentials.
MAX_PENDING, MAX_PENDING_VISITORS = 2000, 500
#: Timeout in seconds for a running write when the process ends.
CLOSE_TIMEOUT = 5.0


class DecisionLog:
    """Buffers decisions and writes them in batches. Thread-safe.

    Args:
        write: stores a batch of decisions, each with the time of its first occurrence and
            the number of occurrences.
        write_crowds: stores the changed aggregate records of requests without credentials.
        threaded: whether to write in a background thread; if not, only flush() writes.
    """

    def __init__(
        self,
        write: Callable[[list[tuple[DecisionRecord, datetime, int]]], None],
        write_crowds: Callable[[list[Crowd]], None] = lambda _crowds: None,
        *,
        threaded: bool = True,
    ) -> None:
        self._write, self._write_crowds, self._threaded = write, write_crowds, threaded
        self._visitors = VisitorLimits()
        self._visitor_count = 0
        self._pending: dict[DecisionRecord, list[Any]] = {}
        self._lock = threading.Lock()
        self._lost_count = 0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def record(self, decision: DecisionRecord) -> None:
        """Add a decision to the next batch, or count it in an aggregate record (visitors.py)."""
        with self._lock:
            entry = self._pending.get(decision)
            if entry is not None:
                entry[1] += 1
            elif decision.category != ACCOUNT:
                if self._visitors.admit(decision, now := utc_now()):
                    self._add_pending(decision, now, self._visitor_count < MAX_PENDING_VISITORS)
                    self._visitor_count += 1
            else:
                self._add_pending(decision, utc_now(), len(self._pending) < MAX_PENDING)
            if self._threaded and self._thread is None:
                # Start the thread on first use, because threads do not survive a fork.
                self._thread = threading.Thread(target=self._run, name="decision_log", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def _add_pending(self, decision: DecisionRecord, now: datetime, has_room: bool) -> None:  # noqa: FBT001
        if has_room:
            self._pending[decision] = [now, 1]
        else:
            self._lost_count += 1

    def flush(self) -> None:
        """Write the buffered decisions. If writing fails, they are lost: the log is best effort."""
        with self._lock:
            pending, self._pending = self._pending, {}
            lost_count, self._lost_count, self._visitor_count = self._lost_count, 0, 0
            crowds = self._visitors.changed()
        if lost_count:
            logger.warning("%s decisions of the token endpoint were too many to keep", lost_count)
        message = "%s decisions of the token endpoint were not kept"
        with log_exceptions(logger, message, len(pending)):
            if pending:
                self._write([(decision, at, count) for decision, (at, count) in pending.items()])
            if crowds:
                self._write_crowds(crowds)

    def close(self) -> None:
        """Stop the thread and write the remaining decisions."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT)
        self.flush()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            self.flush()


def init_app(app: Flask) -> None:
    """Create the application's decision log, which writes to the application's database."""

    def write(batch: list[tuple[DecisionRecord, datetime, int]]) -> None:
        rows = [{**decision._asdict(), "at": at, "count": count} for decision, at, count in batch]
        # Use a separate application context: the caller of flush() can have an open transaction.
        with app.app_context():
            with writing() as session:
                session.execute(insert(TokenDecision), rows)
            db.session.remove()

    def write_crowds(crowds: list[Crowd]) -> None:
        with app.app_context():
            _write_crowds(crowds)
            db.session.remove()

    threaded = not app.config["SETTINGS"].testing
    app.extensions["decision_log"] = DecisionLog(write, write_crowds, threaded=threaded)


def _write_crowds(crowds: list[Crowd]) -> None:
    """Insert the row of each aggregate record, or update it if it exists."""
    new_rows: list[tuple[Crowd, TokenDecision]] = []
    with writing() as session:
        for crowd in crowds:
            values = {"count": crowd.count, "rule": crowd.rule}
            if crowd.row_id is None:
                fields = {**crowd.decision._asdict(), **values, "at": crowd.at}
                new_rows.append((crowd, TokenDecision(**fields)))
                session.add(new_rows[-1][1])
            else:
                query = update(TokenDecision).where(TokenDecision.id == crowd.row_id)
                session.execute(query.values(**values))
        session.flush()
    for crowd, row in new_rows:
        crowd.row_id = row.id


def decision_log() -> DecisionLog:
    """Return the current application's decision log."""
    log: DecisionLog = current_app.extensions["decision_log"]
    return log
