"""Processes that end when their parent process ends."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent(parent: int) -> None:
    """Make the kernel send SIGTERM to this process when its parent process dies for any reason.

    Args:
        parent: process id of the parent. If the parent has already died, this process ends at once.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
