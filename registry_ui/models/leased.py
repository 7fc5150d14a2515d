"""What all long-running work has in common."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import UTCDateTime, bytewise, utc_now


class Leased:
    """Work that one worker carries out at a time, and that another continues if it dies."""

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    requested_by: Mapped[str] = mapped_column(bytewise(255))
    cancel_wanted: Mapped[bool] = mapped_column(default=False)
    #: Why it waits or has failed, for its page; empty if there is nothing to say.
    problem: Mapped[str] = mapped_column(Text, default="")
    #: Until then a worker holds it; the lease of a worker that died expires.
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: A random word of that worker: one that comes back late finds another's, and stops.
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Stallable(Leased):
    """Work that waits for a registry that does not answer."""

    #: Since when it waits, over all its workers; None if it makes progress.
    stalled_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
