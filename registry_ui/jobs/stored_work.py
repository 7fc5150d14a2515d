"""Carry out operations stored in the database: removals, copies, moves, and garbage collections.

A worker holds an operation by a lease, which it renews. Operations whose worker died are resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import current_app

from ..copies import service as copies
from ..exception_log import log_exceptions
from ..garbage_collection import runner
from ..moves.lease import waiting as waiting_moves
from ..moves.runner import run as carry_out_move
from ..removals import runner as removals
from .executors import in_app
from .queue import enqueue

logger = logging.getLogger(__name__)

#: Log message for an operation that an exception ended; its arguments are the kind and the ID.
BROKE_OFF = "%s %s broke off"

#: Stored operations by kind: a function that carries out the operation with a given id, and a
#: function that returns the ids of the unfinished operations that no worker holds.
STORED_WORK: dict[str, tuple[Callable[[int], Any], Callable[[], list[int]]]] = {
    "removal": (removals.run, removals.waiting),
    "copy": (copies.run, copies.waiting),
    "move": (carry_out_move, waiting_moves),
}


def run_removal(removal_id: int) -> None:
    """Carry out one removal in a background thread."""
    _run_in_background("removal", removal_id)


def run_copy(copy_id: int) -> None:
    """Carry out one copy in a background thread."""
    _run_in_background("copy", copy_id)


def run_move(move_id: int) -> None:
    """Carry out one move in a background thread, until the move ends or has to wait."""
    _run_in_background("move", move_id)


def _run_in_background(kind: str, number: int) -> None:
    """Carry out a stored operation in a background thread, so that it delays no other task.

    If all threads of this process are busy, the schedule finds the operation later.

    Args:
        kind: a key of STORED_WORK.
        number: the id of the operation.
    """
    if current_app.testing:
        STORED_WORK[kind][0](number)
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    current_app.extensions["background_threads"].do(in_app(app, _run_stored_work), (kind, number))


def _run_stored_work(operation: tuple[str, int]) -> None:
    """Carry out the operation given as (kind, id), then all operations that no worker holds."""
    _run_or_log(*operation)
    for kind, (_, waiting) in STORED_WORK.items():
        for number in waiting():
            _run_or_log(kind, number)


def _run_or_log(kind: str, number: int) -> None:
    """Carry out a stored operation, and only log an exception, so that other operations can run."""
    with log_exceptions(logger, BROKE_OFF, kind, number):
        STORED_WORK[kind][0](number)


def resume_stored_work() -> None:
    """Carry out the removals, copies, and moves that no worker holds, in background threads."""
    for kind, (_, waiting) in STORED_WORK.items():
        for number in waiting():
            with log_exceptions(logger, BROKE_OFF, kind, number):
                _run_in_background(kind, number)


def run_collection(collection_id: int) -> None:
    """Carry out a garbage collection in a background thread.

    Afterward, operations that waited for the end of the collection are resumed.
    """
    if current_app.testing:
        _run_collection(collection_id)
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    current_app.extensions["collection_thread"].do(in_app(app, _run_collection), collection_id)


def _run_collection(collection_id: int) -> None:
    runner.run(collection_id)
    enqueue("resume_stored_work")
