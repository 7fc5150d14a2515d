"""Columns of the tokens that users and projects create for programs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from .base import UTCDateTime, utc_now


class IssuedToken:
    """Mixin for a token with a name and scopes, which can expire and can be revoked.

    Only the SHA-256 of its secret is stored.
    """

    name: Mapped[str] = mapped_column(String(100))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    #: Space-separated names of access.SCOPES.
    scopes: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def scope_names(self) -> list[str]:
        """The scopes as a list of names."""
        return self.scopes.split()

    @property
    def is_active(self) -> bool:
        """Whether the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > utc_now())
