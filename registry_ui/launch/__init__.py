"""The launcher of ``make run``: runs a registry, the web app, and the worker on one machine."""

from __future__ import annotations


class LaunchError(RuntimeError):
    """The launcher can't start, or has to stop. The message gives the reason and the remedy."""
