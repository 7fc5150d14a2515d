"""A worker whose write freezes are quiet soon.

It is the real one, and begins once it is sent something: a dead one is followed at once by
another that has been loaded before. Whoever uses it sees to it that no bearer token with
push is used for longer than so many seconds: that is all a write freeze waits for.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection

from config import Config
from registry_ui import create_app, worker
from registry_ui.operations import write_freeze

LIFETIME = 1


def main(seconds: float, begin: Connection) -> None:
    write_freeze.GRACE = timedelta(seconds=seconds - LIFETIME)
    app = create_app(replace(Config.from_environ(), token_lifetime=LIFETIME))
    worker.create_app = lambda: app  # type: ignore[attr-defined]
    sys.argv = ["worker"]
    with suppress(EOFError):  # the tests have ended without it
        begin.recv()
        worker.main()
