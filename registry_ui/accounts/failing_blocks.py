"""Address blocks that recently sent wrong passwords, in the memory of one process.

A block is an IPv4 /24 or an IPv6 /48. An attacker can use thousands of addresses, but usually in
few blocks. Sign-ins from a failing block are not refused: their passwords are only checked with
a lower priority (password_checks.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from flask import Flask, current_app

from ..networks import block_of

#: Number of wrong passwords within the window that make a block count as failing. One is not
#: enough, because any user can mistype a password once.
LIMIT = 2
#: How long a block counts as failing after its last wrong password, in seconds.
WINDOW = 600.0
#: Maximum number of blocks kept in memory.
MAX_REMEMBERED = 20_000


class FailingBlocks:
    """Counter of wrong passwords by address block. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By block: number of wrong passwords, and expiry by time.monotonic(). Oldest first.
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def add(self, address: str) -> None:
        """Count a wrong password from an address; drop the oldest block if there are too many."""
        block = block_of(address)
        with self._lock:
            count = self._count(block) + 1
            self._counts[block] = (count, time.monotonic() + WINDOW)
            self._counts.move_to_end(block)
            while len(self._counts) > MAX_REMEMBERED:
                self._counts.popitem(last=False)

    def includes(self, address: str) -> bool:
        """Return whether the address block of this address counts as failing."""
        with self._lock:
            return self._count(block_of(address)) >= LIMIT

    def _count(self, block: str) -> int:
        count, expires_at = self._counts.get(block, (0, 0.0))
        return count if expires_at > time.monotonic() else 0


def init_app(app: Flask) -> None:
    """Create the application's counter of wrong passwords per IP address block."""
    app.extensions["failing_blocks"] = FailingBlocks()


def failing_blocks() -> FailingBlocks:
    """Return the current application's counter of wrong passwords per IP address block."""
    blocks: FailingBlocks = current_app.extensions["failing_blocks"]
    return blocks
