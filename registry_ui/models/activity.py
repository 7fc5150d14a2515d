"""Activity of a project's images: single pushes, and counts of pushes and pulls by day.

The rows belong to the project instead of the image, because an image's row is deleted with its
last tag, and the activity must outlive the image. Images are named by their path below the project.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise


class Push(Base):
    """One push of a tag by a client, or one copied tag; kept as long as the project exists."""

    __tablename__ = "pushes"
    __table_args__ = (
        Index("ix_pushes_project_id_at_id", "project_id", "at", "id"),
        Index("ix_pushes_actor_at_id", "actor", "at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    #: Path of the image below the project.
    name: Mapped[str] = mapped_column(bytewise(255))
    tag: Mapped[str] = mapped_column(bytewise(128))
    digest: Mapped[str] = mapped_column(bytewise(150))
    #: Name of the user who pushed, stored as text to outlive the account; "" if unknown.
    actor: Mapped[str] = mapped_column(bytewise(255))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: Reference that the tag was copied from; "" if a client pushed it.
    source: Mapped[str] = mapped_column(bytewise(400), default="")


class DailyCount(Base):
    """Number of pushes and pulls of an image on one day (UTC), kept as long as the project."""

    __tablename__ = "daily_counts"
    __table_args__ = (UniqueConstraint("project_id", "day", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    day: Mapped[date]
    name: Mapped[str] = mapped_column(bytewise(255))
    pushes: Mapped[int] = mapped_column(default=0)
    pulls: Mapped[int] = mapped_column(default=0)
