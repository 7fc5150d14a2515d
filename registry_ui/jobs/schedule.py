"""What the worker does by the clock."""

from __future__ import annotations

from collections.abc import Callable

from huey import crontab

from ..retention import service as retention
from .pruning import prune
from .reconciliation import reconcile_when_due
from .tasks import purge_bin, resume, retire_moved, run_retention


def periodic_tasks(interval: int) -> dict[str, tuple[Callable[[], None], Callable[..., bool]]]:
    """Return what is done by the clock, and when.

    Args:
        interval: seconds between two comparisons of the registry with the index.
    """
    return {
        "resume": (resume, crontab(minute="*")),
        "reconcile": (lambda: reconcile_when_due(interval), crontab(minute="*/5")),
        "purge_bin": (purge_bin, crontab(minute="11")),
        "retire_moved": (retire_moved, crontab(minute="23")),
        "retention": (
            run_retention,
            # Again, for what had to wait for another policy of its place.
            crontab(minute="*/10", hour=f"{retention.HOUR}-{retention.HOUR + 1}"),
        ),
        "prune": (prune, crontab(minute="17", hour="3")),
    }
