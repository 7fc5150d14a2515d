"""Heartbeat of the worker: a regularly stored time that proves that the worker is running."""

from __future__ import annotations

import logging
import threading

from flask import Flask

from ..db.session import writing
from ..exception_log import log_exceptions
from ..models import Heartbeat, utc_now
from .queue import HEARTBEAT_SECONDS, WORKER

logger = logging.getLogger(__name__)

_start_lock = threading.Lock()


def record_heartbeat(app: Flask) -> None:
    """Store the current time as the worker's heartbeat."""
    with app.app_context(), writing() as session:
        session.merge(Heartbeat(name=WORKER, at=utc_now()))


def start_heartbeat(app: Flask) -> None:
    """Start the heartbeat thread, once per process; huey calls this function in each thread."""
    if not _start_lock.acquire(blocking=False):
        return

    def run() -> None:
        pause = threading.Event()
        while True:
            with log_exceptions(logger, "no sign of life could be written"):
                record_heartbeat(app)
            pause.wait(HEARTBEAT_SECONDS)

    threading.Thread(target=run, name="heartbeat", daemon=True).start()
