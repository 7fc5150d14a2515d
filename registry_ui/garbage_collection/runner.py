"""Carries out garbage collections: fence, wait, collect, lift; goes on where a worker died."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import func, or_, select, update

from ..audit import WORKER, record
from ..db.session import db, release, writing
from ..errors import Clash
from ..manifests.blobs import key_of, unpack
from ..models import Collection, Manifest, ManifestContents, utc_now
from ..operations import write_freeze
from ..operations.lease import LEASE, SIGN_SECONDS, Cancelled, LeaseLost
from .cache_probe import Canary
from .exclusive_process import BUSY
from .output_parser import Collected
from .process import Collector, is_gone
from .service import NOT_SET_UP, SUBJECT, close, command

#: Seconds between two looks at what is waited for.
LOOK_EVERY = 0.5
#: How long, once no token can be used any more, our own work has to let go.
PATIENCE = timedelta(minutes=15)
#: Seconds that the end of an earlier collector may take.
LOCK_PATIENCE = 120.0
#: Manifests whose contents are read at a time.
CHUNK = 500
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
BROKE_OFF = "It broke off. The log of the worker says more."

logger = logging.getLogger(__name__)


class Failed(Exception):
    """A collection can't go on; the message is for its page."""


def waiting() -> list[int]:
    """Return the collections that no living worker holds."""
    query = select(Collection.id).where(Collection.slot == 1, _is_free())
    return list(db.session.scalars(query))


def run(collection_id: int) -> Collection | None:
    """Carry out a collection, or what is left of it; None where another worker has it."""
    hold = _claim(collection_id)
    if hold is None:
        return None
    try:
        hold.close(*_outcome(hold))
    except LeaseLost:
        logger.warning("garbage collection %s was cancelled, or taken over", collection_id)
        return None
    return hold.row


def _outcome(hold: _Hold) -> tuple[str, str]:
    """Take all steps; return the state in which it ends, and what went wrong, if anything did."""
    try:
        if not hold.row.dry_run:
            _drain(hold)
        return "done", _collect(hold)
    except LeaseLost:
        raise
    except Cancelled:
        return "cancelled", ""
    except Failed as failure:
        return "failed", str(failure)
    except Exception:
        logger.exception("garbage collection %s broke off", hold.row.id)
        return "failed", BROKE_OFF


def _is_free() -> Any:
    return or_(Collection.lease_until.is_(None), Collection.lease_until < utc_now())


def _claim(collection_id: int) -> _Hold | None:
    owner = secrets.token_hex(16)
    with writing() as session:
        claimed = session.execute(
            update(Collection)
            .where(Collection.id == collection_id, Collection.slot == 1, _is_free())
            .values(lease_until=utc_now() + LEASE, lease_owner=owner)
            .execution_options(synchronize_session=False)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]
            return None
        return _Hold(session.get_one(Collection, collection_id, populate_existing=True), owner)


@dataclass(slots=True)
class _Hold:
    """A collection in the hands of one worker, until it is silent for too long."""

    row: Collection
    owner: str
    _last_sign: float = field(default_factory=time.monotonic)

    def look(self, **values: Any) -> None:
        """Give a sign, and heed whoever wants to cancel.

        Args:
            values: what the page shall show.

        Raises:
            LeaseLost: as sign().
            Cancelled: somebody wished that.
        """
        self.sign(**values)
        if self._is_cancelled():
            raise Cancelled

    def sign(self, **values: Any) -> None:
        """Give a sign, at most one in a few seconds.

        Args:
            values: what the page shall show by then.

        Raises:
            LeaseLost: it is another worker's by now, or was cancelled before the collector ran.
        """
        if time.monotonic() - self._last_sign >= SIGN_SECONDS:
            with self.changing() as row:
                for name, value in values.items():
                    setattr(row, name, value)
            self._last_sign = time.monotonic()

    @contextmanager
    def changing(self) -> Iterator[Collection]:
        """Change the row in one transaction, and hold it for another while.

        Raises:
            LeaseLost: as sign(); nothing is changed then.
        """
        with writing() as session:
            row = session.get_one(
                Collection, self.row.id, with_for_update=True, populate_existing=True
            )
            if row.lease_owner != self.owner:
                raise LeaseLost
            row.lease_until = utc_now() + LEASE
            yield row

    def close(self, state: str, problem: str) -> None:
        """Say how it ended, and lift the fence."""
        with self.changing() as row:
            close(db.session(), row, state, problem)

    def _is_cancelled(self) -> bool:
        query = select(Collection.cancel_wanted).where(Collection.id == self.row.id)
        wanted = bool(db.session.scalar(query))
        release()
        return wanted


def _drain(hold: _Hold) -> None:
    """Raise the fence, and wait until nothing granted or begun before it can write any more."""
    if hold.row.state == "waiting":
        _wait_until_gone(hold, _lock())
        with hold.changing() as row:
            session = db.session()
            try:
                fence = write_freeze.raise_fence(session, write_freeze.EVERYWHERE, "collection")
            except Clash as error:
                raise Failed(error.message) from None
            row.state, row.fence_id, row.quiet_at = "draining", fence.id, fence.quiet_at
            record(session, WORKER, "fence.raise", SUBJECT, run=row.id)
    while not _is_quiet(hold.row):
        hold.look()
        time.sleep(LOOK_EVERY)


def _is_quiet(row: Collection) -> bool:
    assert row.quiet_at is not None  # noqa: S101 - there is a fence
    if utc_now() < row.quiet_at:
        return False
    still = write_freeze.writers_until(db.session())
    release()
    if still is not None and utc_now() > row.quiet_at + PATIENCE:
        raise Failed("A removal is under way and did not stop. See its page.")
    return still is None


def _collect(hold: _Hold) -> str:
    """Run the collector, and keep what it says; one that died with its worker runs again.

    Returns what is to be done afterwards; "" for nothing.
    """
    words = command()
    if not words:
        raise Failed(NOT_SET_UP)
    if hold.row.dry_run:
        words += (DRY_RUN,)
    with hold.changing() as row:
        row.state, row.collector_started_at = "running", utc_now()
        action = f"collection.collector.{'dry_run' if row.dry_run else 'run'}"
        record(db.session(), WORKER, action, SUBJECT, run=row.id)
    canary = None if hold.row.dry_run else Canary.pushed()
    status, collected = _carried_out(hold, words, _lock())
    if canary is not None:
        collected.leave_out(canary.digest)
    freed, unmeasured = _measured(hold, collected)
    with hold.changing() as row:
        row.output, row.marked = collected.text, collected.marked
        row.blobs, row.freed = collected.blobs, freed
        row.unmeasured = unmeasured
    if status:
        unreadable = collected.unreadable
        raise Failed(UNREADABLE.format(unreadable) if unreadable else EXITED.format(status))
    return RESTART if canary is not None and canary.is_believed_in() else ""


def _lock() -> Path:
    """Return the file that is locked as long as anything of a collector lives."""
    var: Path = current_app.config["SETTINGS"].var
    return var / "collector.lock"


def _carried_out(hold: _Hold, words: tuple[str, ...], lock: Path) -> tuple[int, Collected]:
    """Run the command to its end, or end it; beside it there is no other."""
    while True:
        _wait_until_gone(hold, lock)
        hold.look()
        collector = Collector(words, lock)
        try:
            while (status := collector.status) is None:
                hold.look(marked=collector.collected.marked)
                time.sleep(LOOK_EVERY)
        except Cancelled:
            collector.end()
            _wait_until_gone(hold, lock)
            with hold.changing() as row:
                row.output, row.marked = collector.collected.text, collector.collected.marked
            raise
        finally:
            collector.end()
        if status != BUSY or collector.collected.text:
            return status, collector.collected


def _wait_until_gone(hold: _Hold, lock: Path) -> None:
    """Wait until nothing of an earlier collector lives, also of one whose worker was killed.

    As long as that takes, once the fence stands: it may delete what is pushed behind its
    back. After a while the page says what is waited for.

    Raises:
        Failed: it lives for long, and no fence stands.
    """
    deadline, said = time.monotonic() + LOCK_PATIENCE, False
    while not is_gone(lock):
        if time.monotonic() > deadline and not said:
            if hold.row.fence_id is None:
                raise Failed(STILL_RUNS.format(lock))
            with hold.changing() as row:
                row.problem = STILL_RUNS.format(lock)
            said = True
        hold.sign()
        time.sleep(LOOK_EVERY)


def _measured(hold: _Hold, collected: Collected) -> tuple[int, int]:
    """Return the bytes of what nothing needs, as the index knows them, and of how many it does not.

    The collector tells no sizes. The index knows those of what images consisted of.
    """
    wanted = {key_of(digest): digest for digest in collected.digests}
    sizes: dict[bytes, int] = {}
    last = ""
    while wanted:
        query = (
            select(ManifestContents.digest, ManifestContents.blobs)
            .where(ManifestContents.digest > last)
            .order_by(ManifestContents.digest)
            .limit(CHUNK)
        )
        rows = db.session.execute(query).all()
        release()
        hold.sign()
        for row in rows:
            packed = unpack(row.blobs)
            sizes |= {key: packed[key] for key in wanted.keys() & packed.keys()}
        if len(rows) < CHUNK:
            break
        last = rows[-1].digest
    sizes |= _manifest_sizes(sorted(collected.digests))
    known = sum(max(0, size) for size in sizes.values())
    return min(known, 2**62), max(0, collected.blobs - len(sizes))


def _manifest_sizes(digests: list[str]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for start in range(0, len(digests), CHUNK):
        query = select(Manifest.digest, func.length(Manifest.body)).where(
            Manifest.digest.in_(digests[start : start + CHUNK])
        )
        found |= {key_of(digest): size for digest, size in db.session.execute(query)}
        release()
    return found
