"""The lease of a garbage collection, so that only one worker at a time carries it out.

A lease is one worker's exclusive right to do the work. It expires unless the worker renews it.
"""

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
    """The lease that one worker holds on a garbage collection; ``row`` is the collection."""

    def renew(self, **values: Any) -> None:
        """Renew the lease if that is due, and check on every call whether a user canceled.

        Lease.renew() checks only if a renewal is due, which is too late for a waiting user.

        Args:
            values: columns to change if the lease is renewed.

        Raises:
            LeaseLost: a different worker holds the collection now.
            Canceled: a user canceled the collection.
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
        """Yield the collection's row, to be changed in a transaction that also renews the lease.

        Raises:
            LeaseLost: a different worker holds the collection now.
        """
        with writing() as session:
            self.update(session)
            yield self.row

    def close(self, state: str, problem: str) -> None:
        """Record the final state of the collection, and lift its write freeze."""
        with self.changing() as row:
            close(db.session(), row, state, problem)


def claim(collection_id: int) -> CollectionLease | None:
    """Acquire and return the lease of a garbage collection.

    Return None if the collection has ended, or a different worker holds the lease.
    """
    with writing() as session:
        owner = acquire(session, GarbageCollection, collection_id, GarbageCollection.slot == 1)
        if owner is None:
            return None
        row = session.get_one(GarbageCollection, collection_id, populate_existing=True)
        return CollectionLease(row, owner)


def waiting() -> list[int]:
    """Return the ids of the unfinished garbage collections that no running worker holds."""
    return free_work(GarbageCollection, GarbageCollection.slot == 1)
