"""Write freezes: where pushes and deletions are stopped for a while, and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class WriteFreeze(Base):
    """A write freeze: stops pushes and deletions at and below a path; ``""`` means everywhere."""

    __tablename__ = "write_freezes"
    __table_args__ = (CheckConstraint("reason IN ('collection', 'move')", name="reason"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(bytewise(255), unique=True)
    reason: Mapped[str] = mapped_column(String(10))
    set_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: From this time on, no bearer token granted before the write freeze can be used. Stored,
    #: because the application can be restarted with a different token lifetime.
    quiet_at: Mapped[datetime] = mapped_column(UTCDateTime)
