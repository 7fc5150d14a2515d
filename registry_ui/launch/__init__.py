"""What ``make run`` starts: one registry, the pages and the worker, on one machine."""

from __future__ import annotations


class LaunchError(RuntimeError):
    """It cannot start, or it stopped. The message says why, and the remedy."""
