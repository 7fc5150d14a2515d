"""Fences: where pushes and deletions are stopped for a while, and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class Fence(Base):
    """Stops pushes and deletions at a repository path and below it; at ``""`` everywhere."""

    __tablename__ = "fences"
    __table_args__ = (CheckConstraint("reason IN ('collection', 'move')", name="reason"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(bytewise(255), unique=True)
    reason: Mapped[str] = mapped_column(String(10))
    set_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: From then on no bearer token that was granted before can be used any more. Kept,
    #: because a later start may have another lifetime of tokens.
    quiet_at: Mapped[datetime] = mapped_column(UTCDateTime)
