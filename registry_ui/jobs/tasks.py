"""Tasks of the worker. Arguments of tasks are plain values, because jobs are serialized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..catalog import reconcile
from ..events.apply import apply_event, pending_event_ids
from ..events.outcome import ManifestReference
from ..garbage_collection.lease import waiting as waiting_collections
from ..manifests import refresh
from ..moves import old_path_check
from ..moves import service as moves
from ..names import RepositoryName
from ..retention import service as retention
from ..storage_usage import backfill
from ..trash import service as trash
from .executors import run_single_flight
from .queue import enqueue
from .reconciliation import catch_up, index_adopted, reconcile_all, reconcile_wanted
from .stored_work import resume_stored_work, run_collection, run_copy, run_move, run_removal


def apply_events() -> None:
    """Apply stored registry events to the database, and queue the tasks that the events require.

    Pushed manifests are fetched, and after deletions the affected repositories are compared with
    the registry. If the database fails, the tasks for the events applied before are still queued,
    because an event is applied only once.
    """
    manifests, needs_reconcile = set[ManifestReference](), False
    try:
        for event_id in pending_event_ids():
            outcome = apply_event(event_id)
            if outcome is None:
                continue
            if outcome.manifest_to_fetch is not None:
                manifests.add(outcome.manifest_to_fetch)
            needs_reconcile = needs_reconcile or outcome.needs_reconcile
    finally:
        for repository, digest in sorted(manifests):
            enqueue("fetch_manifest", repository, digest)
        if needs_reconcile:
            enqueue("reconcile_wanted")


def fetch_manifest(repository: str, digest: str) -> None:
    """Fetch and store a pushed manifest, so that the first view of its page is fast."""
    backfill.fetch_summaries(RepositoryName(repository), digest)


def read_contents(path: str) -> None:
    """Fetch the missing manifests of all tags at and below the namespace or project ``path``."""
    run_single_flight("read_contents", backfill.read_contents, path)


def resume() -> None:
    """Resume work left over from a dead worker, a lost job, or an outage of the job queue.

    Stored operations are started first: they run in their own threads, so starting them is quick,
    while it can take long to apply thousands of waiting events.
    """
    resume_stored_work()
    for collection_id in waiting_collections():
        run_collection(collection_id)
    apply_events()
    reconcile_wanted()
    run_single_flight("old_paths", old_path_check.compare_due)
    refresh.refresh()


def purge_trash() -> None:
    """Queue the permanent deletion of the tags whose time in the trash is over."""
    for removal_id in trash.purge_due():
        enqueue("run_removal", removal_id)


def retire_moved() -> None:
    """Queue the deletion of the old paths of moves whose grace period is over."""
    for move_id in moves.retire_due():
        enqueue("run_move", move_id)


def run_retention() -> None:
    """Apply the events received so far, then queue the removals of the due retention policies."""
    apply_events()
    for removal_id in retention.run_due():
        enqueue("run_removal", removal_id)


TASKS: dict[str, Callable[..., Any]] = {
    "apply_events": apply_events,
    "fetch_manifest": fetch_manifest,
    "reconcile_wanted": reconcile_wanted,
    "reconcile_all": reconcile_all,
    "catch_up": catch_up,
    "adopt_below": reconcile.index_repositories_below,
    "index_adopted": index_adopted,
    "read_contents": read_contents,
    "resume": resume,
    "run_removal": run_removal,
    "run_move": run_move,
    "run_copy": run_copy,
    "resume_stored_work": resume_stored_work,
    "run_collection": run_collection,
    "purge_trash": purge_trash,
    # Old names, used by jobs that were queued before an update.
    "learn": fetch_manifest,
    "purge_bin": purge_trash,
}
