"""Background worker, started with ``python -m registry_ui.worker``."""

from __future__ import annotations

import argparse
import logging

from . import create_app
from .exception_log import log_exceptions
from .jobs.executors import LONG_WORK
from .jobs.queue import enqueue
from .jobs.stored_work import resume_stored_work

logger = logging.getLogger(__name__)

#: Number of worker threads. Each kind of long-running work can occupy one, and registry events
#: must not wait for any of them.
WORKER_THREADS = len(LONG_WORK) + 2
#: Seconds between two polls of the SQLite job queue, and so the longest delay of a registry event.
POLL_INTERVAL = 0.2


def main() -> None:
    """Run the worker until a signal stops it.

    After SIGINT the tasks in progress finish first; SIGTERM interrupts them.
    """
    argparse.ArgumentParser(
        prog="python -m registry_ui.worker",
        description="Applies events, reconciles, and carries out removals and copies.",
    ).parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app = create_app()
    with app.app_context():
        with log_exceptions(logger, "stored work could not be resumed; the schedule will find it"):
            resume_stored_work()  # not queued, because the queue can hold thousands of jobs
        enqueue("resume")
        enqueue("catch_up")
    huey = app.extensions["huey"]
    consumer = huey.create_consumer(
        workers=WORKER_THREADS,
        periodic=True,
        initial_delay=POLL_INTERVAL,
        max_delay=POLL_INTERVAL,
        backoff=1.0,
    )
    consumer.run()


if __name__ == "__main__":
    main()
