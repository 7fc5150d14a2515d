"""Columns that removals, copies, moves, and garbage collections have in common."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import UTCDateTime, bytewise, utc_now


class Leased:
    """Base of long-running work that one worker at a time carries out under a lease.

    A lease is the exclusive right to do the work. It expires unless the worker renews it, so that a
    different worker can continue if the first one dies.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    requested_by: Mapped[str] = mapped_column(bytewise(255))
    cancel_wanted: Mapped[bool] = mapped_column(default=False)
    #: Reason why the work is waiting or has failed, as shown to users; otherwise empty.
    problem: Mapped[str] = mapped_column(Text, default="")
    #: When the lease of the current worker expires unless it is renewed; None without a worker.
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Random ID of the worker that holds the lease. A worker that has lost its lease finds a
    #: different ID here, and stops.
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Stallable(Leased):
    """Base of long-running work that waits while the registry does not answer."""

    #: Since when the work waits for the registry, also if the worker changes; None if not waiting.
    stalled_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
