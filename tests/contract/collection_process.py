"""A worker to be killed: it collects garbage."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from config import Config
from registry_ui import create_app
from registry_ui.garbage_collection import runner
from registry_ui.operations import write_freeze


def main(collection_id: int) -> None:
    write_freeze.GRACE = timedelta(0)
    config = replace(Config.from_environ(), token_lifetime=1)
    with create_app(config).app_context():
        runner.run(collection_id)
