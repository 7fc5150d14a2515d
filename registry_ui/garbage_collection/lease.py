"""The lease of a garbage collection, so that only one worker runs the collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from ..db.session import db, end_read, writing
from ..models import GarbageCollection
from ..operations.errors import Canceled
from ..operations.lease import Lease, acquire, free_work
from .service import close


@dataclass(slots=True)
class CollectionLease(Lease[GarbageCollection]):
    """A garbage collection that one worker holds."""

    def renew(self, **values: Any) -> None:
        """Renew the lease as Lease.renew() does, but check for cancellation on every call.

        Users wait for the cancellation, so it must not wait until the next renewal.
        """
        self.keep(**values)
        self.check()

    def check(self) -> None:
        """Raise Canceled if a user canceled the collection."""
        query = select(GarbageCollection.cancel_wanted).where(GarbageCollection.id == self.row.id)
        is_canceled = bool(db.session.scalar(query))
        end_read()
        if is_canceled:
            raise Canceled

    @contextmanager
    def changing(self) -> Iterator[GarbageCollection]:
        """Yield the row for changes in one transaction.

        Raises:
            LeaseLost: another worker holds the collection now.
        """
        with writing() as session:
            self.update(session)
            yield self.row

    def close(self, state: str, problem: str) -> None:
        """Record the final state of the collection, and lift its write freeze (fence)."""
        with self.changing() as row:
            close(db.session(), row, state, problem)


def claim(collection_id: int) -> CollectionLease | None:
    """Acquire the lease of a collection; None if it has ended, or another worker holds it."""
    with writing() as session:
        owner = acquire(session, GarbageCollection, collection_id, GarbageCollection.slot == 1)
        if owner is None:
            return None
        row = session.get_one(GarbageCollection, collection_id, populate_existing=True)
        return CollectionLease(row, owner)


def waiting() -> list[int]:
    """Return the ids of the active collections that no living worker holds."""
    return free_work(GarbageCollection, GarbageCollection.slot == 1)
