"""Carry out garbage collections: freeze writes, wait for writers, collect, and lift the freeze.

A worker holds a collection by a lease. If that worker dies, a different worker resumes.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path

from flask import current_app
from sqlalchemy import func, select

from ..audit import WORKER, record
from ..batches import split_into_batches
from ..db.keyset import select_in_batches
from ..db.session import db, end_read
from ..errors import Conflict
from ..manifests.blobs import key_of, unpack
from ..models import GarbageCollection, Manifest, ManifestContents, utc_now
from ..operations import write_freeze
from ..operations.errors import Canceled, LeaseLost, OperationFailed
from .cache_probe import CacheProbe
from .exclusive_process import BUSY
from .lease import CollectionLease, claim
from .output_parser import CollectorOutput
from .process import Collector, is_gone
from .service import NOT_SET_UP, SUBJECT, command

#: Seconds between two checks while a collection waits, for example for the collector to end.
POLL_INTERVAL = 0.5
#: How long registry_ui's own removals, copies, and moves can take to stop writing, counted from the
#: expiry of the last bearer token that was issued before the write freeze.
WRITERS_TIMEOUT = timedelta(minutes=15)
#: Time in seconds to wait for an earlier collector to end before a problem is reported.
LOCK_TIMEOUT = 120.0
#: Number of manifests that one query reads.
BATCH_SIZE = 500
DRY_RUN = "--dry-run"
RESTART = (
    "Restart the registry now: it still believes in blobs that were collected. Until then, pushes "
    "of what was collected seem to succeed, and can't be pulled."
)
STILL_RUNS = (
    "Something that an earlier collector started still runs, and has to end first. It holds {}."
)
EXITED = "The collector exited with status {}. Its output is below."
UNREADABLE = (
    "The collector can't read a manifest, and collected nothing: {}. Delete that manifest by its "
    "digest, and collect again."
)
UNEXPECTED_ERROR = "It broke off. The log of the worker says more."

logger = logging.getLogger(__name__)


def run(collection_id: int) -> GarbageCollection | None:
    """Carry out a garbage collection, or resume one whose worker died.

    Returns:
        The ended collection; None if a different worker holds it or took it over, or if it had
        already ended or was canceled and closed meanwhile.
    """
    lease = claim(collection_id)
    if lease is None:
        return None
    try:
        lease.close(*_run_all_steps(lease))
    except LeaseLost:
        logger.warning("garbage collection %s was canceled, or taken over", collection_id)
        return None
    return lease.row


def _run_all_steps(lease: CollectionLease) -> tuple[str, str]:
    """Carry out all steps of a collection.

    Returns:
        The final state, and a message for the page of the collection ("" for none).

    Raises:
        LeaseLost: a different worker holds the collection now, or it was canceled and closed.
    """
    try:
        if not lease.row.dry_run:
            _freeze_writes(lease)
        return "done", _collect_garbage(lease)
    except LeaseLost:
        raise
    except Canceled:
        return "cancelled", ""
    except OperationFailed as failure:
        return "failed", str(failure)
    except Exception:
        logger.exception("garbage collection %s broke off", lease.row.id)
        return "failed", UNEXPECTED_ERROR


def _freeze_writes(lease: CollectionLease) -> None:
    """Freeze all writes to the registry, and wait until no earlier permission to write is left.

    The wait ends when the last bearer token with push or delete has expired, and registry_ui's own
    removals, copies, and moves have stopped.

    Raises:
        OperationFailed: writes are frozen already, registry_ui's own operations do not stop in
            time, or an earlier collector still runs.
        LeaseLost: a different worker holds the collection now.
        Canceled: a user canceled the collection.
    """
    if lease.row.state == "waiting":
        _wait_until_gone(lease, _lock_path())
        with lease.changing() as row:
            session = db.session()
            try:
                freeze = write_freeze.freeze_writes(session, write_freeze.EVERYWHERE, "collection")
            except Conflict as error:
                raise OperationFailed(error.message) from None
            row.state, row.write_freeze_id, row.quiet_at = "draining", freeze.id, freeze.quiet_at
            record(session, WORKER, "write_freeze.begin", SUBJECT, run=row.id)
    while not _is_quiet(lease.row):
        lease.renew()
        time.sleep(POLL_INTERVAL)


def _is_quiet(row: GarbageCollection) -> bool:
    assert row.quiet_at is not None  # noqa: S101 - writes are frozen
    if utc_now() < row.quiet_at:
        return False
    writers_until = write_freeze.writers_until(db.session())
    end_read()
    if writers_until is not None and utc_now() > row.quiet_at + WRITERS_TIMEOUT:
        raise OperationFailed("A removal is under way and did not stop. See its page.")
    return writers_until is None


def _collect_garbage(lease: CollectionLease) -> str:
    """Run the registry's collector, and store its output and the freed size in the row.

    A collector that died with its worker is run again.

    Returns:
        A message that tells the administrator to restart the registry, "" if that is not needed.

    Raises:
        OperationFailed: no collector is configured, the collector failed, or an earlier one still
            runs.
        LeaseLost: a different worker holds the collection now.
        Canceled: a user canceled the collection.
    """
    arguments = command()
    if not arguments:
        raise OperationFailed(NOT_SET_UP)
    if lease.row.dry_run:
        arguments += (DRY_RUN,)
    with lease.changing() as row:
        row.state, row.collector_started_at = "running", utc_now()
        action = f"collection.collector.{'dry_run' if row.dry_run else 'run'}"
        record(db.session(), WORKER, action, SUBJECT, run=row.id)
    probe = None if lease.row.dry_run else CacheProbe.pushed()
    status, output = _run_collector(lease, arguments, _lock_path())
    if probe is not None:
        output.exclude_blob(probe.digest)
    freed_bytes, unknown_sizes = _measure_blobs(lease, output)
    with lease.changing() as row:
        row.output, row.marked = output.text, output.marked
        row.blobs, row.freed = output.blobs, freed_bytes
        row.unmeasured = unknown_sizes
    if not lease.row.dry_run:
        # What the collector has left running could delete blobs that are pushed afterward.
        _wait_until_gone(lease, _lock_path())
    if status:
        raise OperationFailed(_describe_failure(status, output))
    return RESTART if probe is not None and probe.is_still_reported() else ""


def _describe_failure(status: int, output: CollectorOutput) -> str:
    """Return why the collector failed: the manifest that it can't read, or its exit status."""
    return UNREADABLE.format(output.unreadable) if output.unreadable else EXITED.format(status)


def _lock_path() -> Path:
    """Return the path of the file that is locked as long as any process of a collector runs."""
    var: Path = current_app.config["SETTINGS"].var
    return var / "collector.lock"


def _run_collector(
    lease: CollectionLease, arguments: tuple[str, ...], lock: Path
) -> tuple[int, CollectorOutput]:
    """Run the collector to completion, or end it if the collection is canceled.

    Only one collector runs at a time.

    Args:
        lease: the lease of the collection.
        arguments: the command of the collector.
        lock: the file that the collector keeps locked.

    Returns:
        The exit status and the parsed output.
    """
    while True:
        _wait_until_gone(lease, lock)
        lease.renew()
        collector = Collector(arguments, lock)
        try:
            while (status := collector.status) is None:
                lease.renew(marked=collector.output.marked)
                time.sleep(POLL_INTERVAL)
        except Canceled:
            collector.end()
            _wait_until_gone(lease, lock)
            with lease.changing() as row:
                row.output, row.marked = collector.output.text, collector.output.marked
            raise
        finally:
            collector.end()
        if status != BUSY or collector.output.text:
            return status, collector.output


def _wait_until_gone(lease: CollectionLease, lock: Path) -> None:
    """Wait until no process of an earlier collector runs, not even one whose worker was killed.

    During a write freeze there is no time limit: if the freeze ended first, the earlier collector
    could delete blobs that are pushed afterward. After LOCK_TIMEOUT seconds the page of the
    collection shows the reason for the wait.

    Raises:
        OperationFailed: writes are not frozen, and the processes did not end in time.
        LeaseLost: a different worker holds the collection now.
    """
    deadline, is_reported = time.monotonic() + LOCK_TIMEOUT, False
    while not is_gone(lock):
        if time.monotonic() > deadline and not is_reported:
            if lease.row.write_freeze_id is None:
                raise OperationFailed(STILL_RUNS.format(lock))
            with lease.changing() as row:
                row.problem = STILL_RUNS.format(lock)
            is_reported = True
        lease.keep()
        time.sleep(POLL_INTERVAL)


def _measure_blobs(lease: CollectionLease, output: CollectorOutput) -> tuple[int, int]:
    """Return the known size of the unreferenced blobs in bytes, and the number of unknown sizes.

    The collector prints no sizes. The sizes come from the manifests that the database stores.
    """
    keys = {key_of(digest) for digest in output.digests}
    if not keys:
        return 0, output.blobs
    sizes: dict[bytes, int] = {}
    query = select(ManifestContents.digest, ManifestContents.blobs)
    for rows in select_in_batches(db.session(), query, ManifestContents.digest, BATCH_SIZE):
        end_read()
        lease.keep()
        for _, blobs in rows:
            packed = unpack(blobs)
            sizes |= {key: packed[key] for key in keys & packed.keys()}
    sizes |= _load_manifest_sizes(sorted(output.digests))
    known_bytes = sum(max(0, size) for size in sizes.values())
    return min(known_bytes, 2**62), max(0, output.blobs - len(sizes))


def _load_manifest_sizes(digests: list[str]) -> dict[bytes, int]:
    sizes: dict[bytes, int] = {}
    for batch in split_into_batches(digests, BATCH_SIZE):
        query = select(Manifest.digest, func.length(Manifest.body)).where(
            Manifest.digest.in_(batch)
        )
        sizes |= {key_of(digest): size for digest, size in db.session.execute(query)}
        end_read()
    return sizes
