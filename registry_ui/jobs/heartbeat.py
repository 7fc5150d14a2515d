"""The worker's sign of life, by which pages and probes know that it runs."""

from __future__ import annotations

import logging
import threading

from flask import Flask

from ..db.session import writing
from ..models import Heartbeat, utc_now
from .queue import HEARTBEAT_SECONDS, WORKER

logger = logging.getLogger(__name__)

_started = threading.Lock()


def record_heartbeat(app: Flask) -> None:
    """Write the worker's sign of life."""
    with app.app_context(), writing() as session:
        session.merge(Heartbeat(name=WORKER, at=utc_now()))


def start_heartbeat(app: Flask) -> None:
    """Start one heart for the process; huey calls this in each of its threads."""
    if not _started.acquire(blocking=False):
        return

    def live() -> None:
        pause = threading.Event()
        while True:
            try:
                record_heartbeat(app)
            except Exception:
                logger.exception("no sign of life could be written")
            pause.wait(HEARTBEAT_SECONDS)

    threading.Thread(target=live, name="heartbeat", daemon=True).start()
