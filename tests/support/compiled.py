"""Templates that are compiled once for all applications of a test run."""

from __future__ import annotations

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from config import Config
from registry_ui import create_app


class _Memory(BytecodeCache):
    """Keeps what was compiled in memory; a template that changes is another one."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give what was compiled of a template, if it was."""
        kept = self._kept.get((bucket.key, bucket.checksum))
        if kept is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._kept[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


_CACHE = _Memory()


def make_application(config: Config) -> Flask:
    """Return an application: a new one for each test, which would compile every page again."""
    app = create_app(config)
    app.jinja_env.bytecode_cache = _CACHE
    return app
