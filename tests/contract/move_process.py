"""A worker that dies like one in the middle of a move.

It ends itself, -9, at the start of the given call of a function: one of the client of the
registry, of the phases (``work``), or of what they do with one repository (``transfer``).
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from config import Config
from registry_ui import create_app
from registry_ui.moves import progress, runner
from registry_ui.operations import write_freeze


def dying(call: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Return a function that ends this process when it is called for that time."""
    count = itertools.count(1)

    def call_or_die(*args: Any, **kwargs: Any) -> Any:
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    return call_or_die


def set_batch_size(size: int) -> None:
    """Record what is copied in batches of another size, of each kind."""
    progress.BATCH_SIZE = progress.RECORD_BATCH_SIZE = size
    runner.transfer.HISTORY_BATCH_SIZE = size


def main(
    move_id: int, where: str, number: int, wait: tuple[int, timedelta], batch_size: int
) -> None:
    """Run a move; ``wait`` is the lifetime of tokens in seconds, and the wait after it."""
    lifetime, write_freeze.GRACE = wait
    set_batch_size(batch_size)
    app = create_app(replace(Config.from_environ(), token_lifetime=lifetime))
    room, _, name = where.rpartition(".")
    owner: Any = {
        "client": app.extensions["registry"],
        "work": runner,
        "transfer": runner.transfer,
    }[room]
    setattr(owner, name, dying(getattr(owner, name), number))
    if room == "work":
        # The phases were looked up by name when the module was read.
        for state, phase in runner.PHASES.items():
            if phase.__name__ == name:
                runner.PHASES[state] = getattr(owner, name)
    with app.app_context():
        runner.run(move_id)
