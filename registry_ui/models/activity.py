"""What happened to the images of a project: single pushes, and how many by day.

Both belong to the project and not to the image's row, which goes with its last tag:
what happened stays true.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise


class Push(Base):
    """One push or copy of a tag, kept for as long as its project; ``name`` is the image's."""

    __tablename__ = "pushes"
    __table_args__ = (
        Index("ix_pushes_project_id_at_id", "project_id", "at", "id"),
        Index("ix_pushes_actor_at_id", "actor", "at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(bytewise(255))
    tag: Mapped[str] = mapped_column(bytewise(128))
    digest: Mapped[str] = mapped_column(bytewise(150))
    #: Who pushed, by name, so that it outlives the account; "" where nobody was named.
    actor: Mapped[str] = mapped_column(bytewise(255))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: The reference that it was copied from; "" for what a client pushed.
    source: Mapped[str] = mapped_column(bytewise(400), default="")


class DailyCount(Base):
    """How often an image was pushed and pulled on one day, in UTC. Kept as pushes are."""

    __tablename__ = "daily_counts"
    __table_args__ = (UniqueConstraint("project_id", "day", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    day: Mapped[date]
    name: Mapped[str] = mapped_column(bytewise(255))
    pushes: Mapped[int] = mapped_column(default=0)
    pulls: Mapped[int] = mapped_column(default=0)
