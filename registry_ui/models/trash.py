"""Trash: deleted tags that can still be restored."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class TrashedTag(Base):
    """A deleted tag whose manifest stays in the registry under ``trash_tag`` until ``purge_at``."""

    # The names in the database are from when the trash was called *bin*.
    __tablename__ = "binned_tags"
    __table_args__ = (
        UniqueConstraint("repository", "bin_tag"),
        Index("ix_binned_tags_project_id_leaving_id", "project_id", "leaving", "id"),
        Index("ix_binned_tags_purge_at", "purge_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    repository: Mapped[str] = mapped_column(bytewise(255))
    tag: Mapped[str] = mapped_column(bytewise(128))
    trash_tag: Mapped[str] = mapped_column("bin_tag", bytewise(128))
    digest: Mapped[str] = mapped_column(bytewise(150))
    pushed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    pushed_by: Mapped[str | None] = mapped_column(bytewise(255))
    pull_count: Mapped[int] = mapped_column(default=0)
    last_pulled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    removed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    removed_by: Mapped[str] = mapped_column(bytewise(255))
    purge_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: Whether the entry is hidden. If ``purge_at`` is in the future, the tag is being deleted or
    #: restored, or the deletion or restoration was interrupted. Otherwise the tag was restored or
    #: was never deleted, and only ``trash_tag`` still has to be removed from the registry.
    leaving: Mapped[bool] = mapped_column(default=False)
