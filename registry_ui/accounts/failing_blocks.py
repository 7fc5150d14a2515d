"""Remembers which address blocks wrong passwords came from, in the memory of one process.

A stranger can have thousands of networks, but mostly of few blocks. A block that failed is
never refused for it: its passwords are only checked after those of others (password_checks.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from flask import Flask, current_app

from ..networks import block_of

#: Wrong passwords from one block within the window after which it counts as failing: a user
#: can mistype once.
LIMIT = 2
#: How long a block counts as failing after its last wrong password, in seconds.
WINDOW = 600.0
#: Maximum number of blocks that are remembered.
MAX_REMEMBERED = 20_000


class FailingBlocks:
    """Counts wrong passwords by address block. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Wrong passwords, and when they are forgotten by time.monotonic(); the oldest first.
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def add(self, address: str) -> None:
        """Count a wrong password from an address; forget the oldest block if there are too many."""
        block = block_of(address)
        with self._lock:
            count = self._count(block) + 1
            self._counts[block] = (count, time.monotonic() + WINDOW)
            self._counts.move_to_end(block)
            while len(self._counts) > MAX_REMEMBERED:
                self._counts.popitem(last=False)

    def includes(self, address: str) -> bool:
        """Whether several wrong passwords came from the block of this address recently."""
        with self._lock:
            return self._count(block_of(address)) >= LIMIT

    def _count(self, block: str) -> int:
        count, until = self._counts.get(block, (0, 0.0))
        return count if until > time.monotonic() else 0


def init_app(app: Flask) -> None:
    """Give the application its own memory of failing blocks."""
    app.extensions["failing_blocks"] = FailingBlocks()


def failing_blocks() -> FailingBlocks:
    """Return the application's memory of failing blocks."""
    found: FailingBlocks = current_app.extensions["failing_blocks"]
    return found
