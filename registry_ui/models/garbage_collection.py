"""Garbage collections of the registry, with their progress and outcome."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime
from .leased import Leased


class GarbageCollection(Leased, Base):
    """One garbage collection (or a dry run of one), carried out by the worker.

    The run is ``waiting`` for a worker, then ``draining``: the write freeze (a stop of pushes and
    deletions) is in effect, but bearer tokens granted before it can still be used. When they have
    expired, the registry's collector is ``running``. A dry run needs no write freeze.
    """

    __tablename__ = "collections"
    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting', 'draining', 'running', 'done', 'failed', 'cancelled')",
            name="state",
        ),
        CheckConstraint("slot = 1", name="slot"),
    )

    dry_run: Mapped[bool]
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    #: 1 until the run has ended, then None; the unique constraint allows one active run.
    slot: Mapped[int | None] = mapped_column(unique=True)
    write_freeze_id: Mapped[int | None] = mapped_column(
        ForeignKey("write_freezes.id", ondelete="SET NULL")
    )
    #: From this time on, no bearer token granted before the write freeze can be used.
    quiet_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    collector_started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Number of manifests that the collector has found in use so far.
    marked: Mapped[int] = mapped_column(default=0)
    #: Number of blobs that no manifest needs; None until the collector has reported it.
    blobs: Mapped[int | None]
    #: Total size in bytes of those ``blobs`` whose size is in the database; ``unmeasured`` is the
    #: number of blobs whose size is not.
    freed: Mapped[int | None] = mapped_column(BigInteger)
    unmeasured: Mapped[int] = mapped_column(default=0)
    #: Output of the collector, shortened.
    output: Mapped[str] = mapped_column(Text, default="")

    @property
    def is_active(self) -> bool:
        """Whether the run has not ended: a worker carries it out, or will do so."""
        return self.slot is not None

    @property
    def took(self) -> str:
        """Total duration as hours, minutes, and seconds; "" until the run has ended."""
        if self.finished_at is None:
            return ""
        return str(self.finished_at - self.created_at).partition(".")[0]
