"""A worker to be killed: ``python -m tests.contract.collection_process ID``."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

from config import Config
from registry_ui import create_app
from registry_ui.garbage_collection import runner
from registry_ui.operations import write_freeze


def main() -> None:
    write_freeze.GRACE = timedelta(0)
    config = replace(Config.from_environ(), token_lifetime=1)
    with create_app(config).app_context():
        runner.run(int(sys.argv[1]))


if __name__ == "__main__":
    main()
