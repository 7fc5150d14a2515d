"""Rules by which tags are removed every day."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class RetentionPolicy(Base):
    """Which tags of a namespace's or project's images go, and which are kept.

    It can be switched on only with the settings of which somebody has seen a dry run:
    ``seen`` is the fingerprint of those.
    """

    __tablename__ = "retention_policies"
    __table_args__ = (
        CheckConstraint("pattern_kind IN ('glob', 'regex')", name="pattern_kind"),
        Index("ix_retention_policies_place_id_id", "place_id", "id"),
        Index("ix_retention_policies_is_enabled_last_run_at", "is_enabled", "last_run_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"))
    #: A pattern of image names below the place; the root image has the empty name.
    images: Mapped[str] = mapped_column(String(1000), default="**")
    keep_matching: Mapped[str] = mapped_column(String(1000), default="")
    pattern_kind: Mapped[str] = mapped_column(String(10), default="glob")
    keep_last: Mapped[int | None]
    keep_pulled_days: Mapped[int | None]
    older_than_days: Mapped[int | None]
    is_enabled: Mapped[bool] = mapped_column(default=False)
    seen: Mapped[str] = mapped_column(String(71), default="")
    created_by: Mapped[str] = mapped_column(bytewise(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_run_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: The removal of the last run; None where it could not begin, and why in ``last_problem``.
    last_removal: Mapped[int | None]
    last_problem: Mapped[str] = mapped_column(Text, default="")
    #: Why the policy was switched off by an update, until its next dry run; "" if it was not.
    suspension_reason: Mapped[str] = mapped_column(Text, default="")
