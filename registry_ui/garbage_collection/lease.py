"""The lease of a garbage collection: one worker runs the collector."""

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
    """A garbage collection in the hands of one worker."""

    def renew(self, **values: Any) -> None:
        """Renew the lease as Lease.renew(), and check each time, because people wait."""
        self.keep(**values)
        self.check()

    def check(self) -> None:
        """Raise Canceled if somebody wished that."""
        query = select(GarbageCollection.cancel_wanted).where(GarbageCollection.id == self.row.id)
        is_canceled = bool(db.session.scalar(query))
        end_read()
        if is_canceled:
            raise Canceled

    @contextmanager
    def changing(self) -> Iterator[GarbageCollection]:
        """Change the row in one transaction; raise LeaseLost as update()."""
        with writing() as session:
            self.update(session)
            yield self.row

    def close(self, state: str, problem: str) -> None:
        """Record how it ended, and lift the fence."""
        with self.changing() as row:
            close(db.session(), row, state, problem)


def claim(collection_id: int) -> CollectionLease | None:
    """Take a collection that has not ended; None if another worker holds it."""
    with writing() as session:
        owner = acquire(session, GarbageCollection, collection_id, GarbageCollection.slot == 1)
        if owner is None:
            return None
        row = session.get_one(GarbageCollection, collection_id, populate_existing=True)
        return CollectionLease(row, owner)


def waiting() -> list[int]:
    """Return the collections that no living worker holds."""
    return free_work(GarbageCollection, GarbageCollection.slot == 1)
