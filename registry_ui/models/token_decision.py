"""Token decisions (recorded answers of the token endpoint), kept for a limited time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class TokenDecision(Base):
    """A decision of the token endpoint about one repository, and the rule behind a refusal.

    Equal decisions within a second are one row with a ``count``. The row has names instead of
    foreign keys, because it outlives the objects that it names, and writing it must never wait.
    """

    __tablename__ = "token_decisions"
    __table_args__ = (
        Index("ix_token_decisions_username_id", "username", "id"),
        Index("ix_token_decisions_place_id", "place", "id"),
        Index("ix_token_decisions_category_id", "category", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)
    #: Empty for a request without credentials.
    username: Mapped[str] = mapped_column(bytewise(150))
    credential: Mapped[str] = mapped_column(String(150))
    address: Mapped[str] = mapped_column(String(64))
    client: Mapped[str] = mapped_column(String(200))
    #: Repository name, ``registry:catalog``, or "" if no scope was requested.
    repository: Mapped[str] = mapped_column(bytewise(255))
    #: Path of the deepest namespace or project at or above the repository, at that time.
    place: Mapped[str] = mapped_column(bytewise(255))
    #: Requested actions, separated by commas; ``granted`` has the same format.
    requested: Mapped[str] = mapped_column(String(50))
    granted: Mapped[str] = mapped_column(String(50))
    #: Rule that refused the actions that were not granted; "" if nothing was refused.
    rule: Mapped[str] = mapped_column(Text)
    count: Mapped[int] = mapped_column(default=1)
    #: Category of the client (token_auth.visitors). Each has its own limit on rows.
    category: Mapped[str] = mapped_column(String(10), default="account", server_default="account")
