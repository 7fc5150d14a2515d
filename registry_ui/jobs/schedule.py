"""Schedule of the periodic tasks of the worker."""

from __future__ import annotations

from collections.abc import Callable

from huey import crontab

from ..retention import service as retention
from .pruning import prune
from .reconciliation import reconcile_when_due
from .tasks import purge_trash, resume, retire_moved, run_retention


def periodic_tasks(interval: int) -> dict[str, tuple[Callable[[], None], Callable[..., bool]]]:
    """Return the periodic tasks by name: the function, and its schedule as a huey crontab.

    Args:
        interval: seconds between two reconciliations of the whole index with the registry.
    """
    return {
        "resume": (resume, crontab(minute="*")),
        "reconcile": (lambda: reconcile_when_due(interval), crontab(minute="*/5")),
        "purge_trash": (purge_trash, crontab(minute="11")),
        "retire_moved": (retire_moved, crontab(minute="23")),
        "retention": (
            run_retention,
            # Repeated for two hours, because a policy may have to wait until a different policy of
            # the same namespace or project has finished.
            crontab(minute="*/10", hour=f"{retention.HOUR}-{retention.HOUR + 1}"),
        ),
        "prune": (prune, crontab(minute="17", hour="3")),
    }
