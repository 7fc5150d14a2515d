"""Templates compiled once for all applications of a test run: that is half of what a test costs."""

from __future__ import annotations

from jinja2.bccache import Bucket, BytecodeCache


class CompiledOnce(BytecodeCache):
    """Keeps compiled templates in memory. A template that has changed is compiled anew."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give back what was compiled, if it is of the same source."""
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


#: ``app.jinja_env.bytecode_cache = COMPILED``, before the first page is rendered.
COMPILED = CompiledOnce()
