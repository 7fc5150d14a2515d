"""Keyset pagination: the rows of a long query, read in batches by several short queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, TypeVarTuple

from sqlalchemy import Row, Select
from sqlalchemy.orm import InstrumentedAttribute, Session

Key = TypeVar("Key")
Ts = TypeVarTuple("Ts")


def select_in_batches(
    session: Session, query: Select[Key, *Ts], key: InstrumentedAttribute[Key], size: int
) -> Iterator[Sequence[Row[Key, *Ts]]]:
    """Yield the rows of a query in batches of at most ``size`` rows, ordered by a key.

    Each batch is read by a query of its own, when the caller asks for it. The caller can therefore
    end the transaction between two batches. Rows that are added in the meantime are included if
    their keys come after those of the batches before. The transaction of the last query, which
    found no row, stays open: end it with end_read() if no other query follows at once.

    Args:
        session: the session that reads the batches.
        query: the query, without an order.
        key: the first column of the query; its values are unique in the result.
        size: maximum number of rows in a batch.
    """
    first_rows = query.order_by(key).limit(size)
    rows = session.execute(first_rows).all()
    while rows:
        yield rows
        rows = session.execute(first_rows.where(key > rows[-1][0])).all()
