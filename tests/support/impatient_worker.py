"""A worker whose fences are quiet soon: ``python -m tests.support.impatient_worker SECONDS``.

It is the real one, and begins once it is given a line: a dead one is followed at once by
another that has been loaded before. Whoever uses it sees to it that no bearer token with
push is used for longer than so many seconds: that is all a fence waits for.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

from config import Config
from registry_ui import create_app, worker
from registry_ui.operations import write_freeze

LIFETIME = 1


def main() -> None:
    seconds = float(sys.argv.pop())
    write_freeze.GRACE = timedelta(seconds=seconds - LIFETIME)
    app = create_app(replace(Config.from_environ(), token_lifetime=LIFETIME))
    worker.create_app = lambda: app  # type: ignore[attr-defined]
    if sys.stdin.readline():
        worker.main()


if __name__ == "__main__":
    main()
