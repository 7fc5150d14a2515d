"""What is compiled once for all applications of a test run: templates, URL rules, statements."""

from __future__ import annotations

from typing import Any
from unittest import mock

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Map

from config import Config
from registry_ui import create_app
from registry_ui.db.session import db


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


_TEMPLATES = _Memory()
_STATEMENTS: Any = LRUCache(5000)
_url_map: Map | None = None

# SQLAlchemy keeps compiled statements by dialect, of which each engine has its own. Two of one
# kind compile alike: each test would compile every statement again.
DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]


def _add_nothing(_map: Map, _rules: object) -> None:
    """Take the place of Map.add(); a mock would note every call."""


def make_application(config: Config) -> Flask:
    """Return an application: a new one for each test, which would compile everything again."""
    global _url_map  # noqa: PLW0603
    if _url_map is None:
        app = create_app(config)
        app.url_map.update()
        _url_map = app.url_map
    else:
        # Every application has the same routes, and to compile them takes most of its start.
        with mock.patch.object(Map, "add", _add_nothing):
            app = create_app(config)
        app.url_map = _url_map
    app.jinja_env.bytecode_cache = _TEMPLATES
    with app.app_context():
        db.engine._compiled_cache = _STATEMENTS
    return app
