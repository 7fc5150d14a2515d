"""Retention policies: rules by which tags are deleted every day."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class RetentionPolicy(Base):
    """A policy that decides which tags of a namespace's or project's images are deleted.

    It can be enabled only after a dry run of exactly its current settings:
    ``dry_run_fingerprint`` is the fingerprint of the settings of the last dry run.
    """

    __tablename__ = "retention_policies"
    __table_args__ = (
        CheckConstraint("pattern_kind IN ('glob', 'regex')", name="pattern_kind"),
        Index("ix_retention_policies_place_id_id", "place_id", "id"),
        Index("ix_retention_policies_is_enabled_last_run_at", "is_enabled", "last_run_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    #: Pattern of image names below the namespace or project; the root image has the empty name.
    images: Mapped[str] = mapped_column(String(1000), default="**")
    keep_matching: Mapped[str] = mapped_column(String(1000), default="")
    pattern_kind: Mapped[str] = mapped_column(String(10), default="glob")
    keep_last: Mapped[int | None]
    keep_pulled_days: Mapped[int | None]
    older_than_days: Mapped[int | None]
    is_enabled: Mapped[bool] = mapped_column(default=False)
    dry_run_fingerprint: Mapped[str] = mapped_column(String(71), default="")
    created_by: Mapped[str] = mapped_column(bytewise(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_run_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: ID of the last run's removal; None if it could not start, as ``last_problem`` explains.
    last_removal: Mapped[int | None]
    last_problem: Mapped[str] = mapped_column(Text, default="")
    #: Why an update of the application disabled the policy; "" if none did, or after a dry run.
    suspension_reason: Mapped[str] = mapped_column(Text, default="")
