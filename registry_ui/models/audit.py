"""Audit log. An entry is written in the same transaction as the change that it describes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class AuditEntry(Base):
    """One action of a user or of the application. The actor's name outlives the account."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_subject_id", "subject", "id"),
        Index("ix_audit_entries_actor_id", "actor", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    actor: Mapped[str] = mapped_column(bytewise(255))
    action: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str] = mapped_column(bytewise(512))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    address: Mapped[str] = mapped_column(String(64), default="")
