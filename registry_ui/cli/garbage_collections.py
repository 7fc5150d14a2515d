"""Command ``collect-garbage``: garbage collection of the registry."""

from __future__ import annotations

import time

import click
from flask.cli import with_appcontext

from ..audit import CONSOLE
from ..db.session import end_read
from ..formatting import size
from ..garbage_collection import service as garbage_collection
from ..jobs.queue import enqueue
from ..models import GarbageCollection
from .errors import clear_errors

POLL_INTERVAL = 1.0
STATE_DESCRIPTIONS = {
    "waiting": "waits for a worker",
    "draining": "writes are stopped; waits until the last tokens have ended",
    "running": "the collector runs",
}


@click.command("collect-garbage")
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@click.option("--wait", is_flag=True, help="Stay until it has ended.")
@with_appcontext
@clear_errors
def collect_garbage(*, dry_run: bool, wait: bool) -> None:
    """Delete unused blobs. Pushes and deletions are paused meanwhile.

    The worker runs the collection. With --wait, this command exits with 0 if the collection
    succeeded, otherwise with 1. Ctrl-C stops only the waiting.
    """
    row = garbage_collection.begin(CONSOLE, dry_run=dry_run)
    enqueue("run_collection", row.id)
    click.echo(f"garbage collection {row.id} was begun", err=True)
    if not wait:
        return
    printed_state = ""
    while (row := garbage_collection.one(row.id)).is_active:
        if row.state != printed_state:
            printed_state = row.state
            click.echo(_describe_progress(row), err=True)
        end_read()
        time.sleep(POLL_INTERVAL)
    if row.state != "done":
        raise click.ClickException(f"{row.state}. {row.problem}\n{row.output}".strip())
    click.echo(_describe_outcome(row))


def _describe_progress(row: GarbageCollection) -> str:
    end = f", about {row.quiet_at:%H:%M:%S} UTC" if row.state == "draining" else ""
    return STATE_DESCRIPTIONS[row.state] + end


def _describe_outcome(row: GarbageCollection) -> str:
    verb = "would be freed" if row.dry_run else "freed"
    noun = "blob" if row.blobs == 1 else "blobs"
    if row.unmeasured and row.unmeasured == row.blobs:
        return f"{row.blobs} {noun} {verb}; size unknown"
    remark = f"; the size of {row.unmeasured} is unknown" if row.unmeasured else ""
    return f"{row.blobs} {noun}, {size(row.freed)} {verb}{remark}"
