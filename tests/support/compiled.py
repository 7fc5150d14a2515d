"""What is compiled once for all applications of a test run: templates and URL rules."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

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


class _Builders:
    """Compiles the function that builds the URLs of a rule once, not once per application.

    It depends on the rule and its default values only, and takes Werkzeug a fifth of the time
    that an application takes to start.
    """

    def __init__(self) -> None:
        self._compile = Rule._compile_builder
        self._kept: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}

    def compiled(self, rule: Rule, *append_unknown: bool) -> Callable[..., tuple[str, str]]:
        """Return what Werkzeug compiles for this rule."""
        defaults = tuple(sorted((rule.defaults or {}).items()))
        key = (rule.rule, rule.subdomain, rule.host, defaults, *append_unknown)
        if key not in self._kept:
            self._kept[key] = self._compile(rule, *append_unknown)
        return self._kept[key]


_CACHE = _Memory()
_BUILDERS = _Builders()


def make_application(config: Config) -> Flask:
    """Return an application: a new one for each test, which would compile everything again."""

    def compile_builder(rule: Rule, *append_unknown: bool) -> Callable[..., tuple[str, str]]:
        return _BUILDERS.compiled(rule, *append_unknown)

    with mock.patch.object(Rule, "_compile_builder", compile_builder):
        app = create_app(config)
        app.url_map.update()
    app.jinja_env.bytecode_cache = _CACHE
    return app
