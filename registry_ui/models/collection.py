"""A garbage collection of the registry: how far it is, and what came of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime
from .leased import Leased


class GarbageCollection(Leased, Base):
    """One run of the registry's collector, or a dry run of it, carried out by the worker.

    It *waits* for a worker, *drains* behind its fence until no bearer token from before can
    be used, and then the collector is *running*. A dry run needs no fence.
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
    #: 1 until it has ended: there is one such row at most.
    slot: Mapped[int | None] = mapped_column(unique=True)
    fence_id: Mapped[int | None] = mapped_column(ForeignKey("fences.id", ondelete="SET NULL"))
    #: When the last bearer token from before the fence has ended.
    quiet_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    collector_started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Manifests that the collector has found in use so far.
    marked: Mapped[int] = mapped_column(default=0)
    #: Blobs that nothing needs; None until the collector said so.
    blobs: Mapped[int | None]
    #: Their bytes, as far as the index knows them; for ``unmeasured`` of them it does not.
    freed: Mapped[int | None] = mapped_column(BigInteger)
    unmeasured: Mapped[int] = mapped_column(default=0)
    #: What the collector said, shortened.
    output: Mapped[str] = mapped_column(Text, default="")

    @property
    def is_active(self) -> bool:
        """Whether a worker has it, or will."""
        return self.slot is not None

    @property
    def took(self) -> str:
        """How long all of it took, as hours, minutes and seconds; "" until it has ended."""
        if self.finished_at is None:
            return ""
        return str(self.finished_at - self.created_at).partition(".")[0]
