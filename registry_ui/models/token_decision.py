"""What the token endpoint decided, kept for a limited time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class TokenDecision(Base):
    """What one caller asked of one repository, what was granted, and what refused the rest.

    Equal decisions within a second are one row with a ``count``. Names instead of foreign
    keys: a record outlives what it speaks of, and writing it must never wait.
    """

    __tablename__ = "token_decisions"
    __table_args__ = (
        Index("ix_token_decisions_username_id", "username", "id"),
        Index("ix_token_decisions_place_id", "place", "id"),
        Index("ix_token_decisions_category_id", "category", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)
    #: "" for anyone without credentials.
    username: Mapped[str] = mapped_column(bytewise(150))
    credential: Mapped[str] = mapped_column(String(150))
    address: Mapped[str] = mapped_column(String(64))
    client: Mapped[str] = mapped_column(String(200))
    #: The repository, ``registry:catalog``, or "" where no scope was asked for.
    repository: Mapped[str] = mapped_column(bytewise(255))
    #: The deepest namespace or project at or above the repository, at that time.
    place: Mapped[str] = mapped_column(bytewise(255))
    #: Actions joined by commas.
    asked: Mapped[str] = mapped_column(String(50))
    granted: Mapped[str] = mapped_column(String(50))
    #: The rule that refused what was not granted; "" where nothing was refused.
    rule: Mapped[str] = mapped_column(Text)
    count: Mapped[int] = mapped_column(default=1)
    #: Whose it is, as token_auth.visitors says: of each, so many are kept.
    category: Mapped[str] = mapped_column(String(10), default="account", server_default="account")
