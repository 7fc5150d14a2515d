"""Secrets of programs: deploy tokens, and what docker keeps in place of a password."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class DeployToken(Base):
    """A secret of a project or a namespace, for programs. Only its SHA-256 is stored.

    ``username`` goes with it at ``docker login``. It holds a ``+``, which no user's name
    can, and needs no quotes in a shell.
    """

    __tablename__ = "deploy_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    username: Mapped[str] = mapped_column(bytewise(150), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    #: Space-separated names of access.SCOPES.
    scopes: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[str] = mapped_column(bytewise(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def scope_names(self) -> list[str]:
        """The scopes, one by one."""
        return self.scopes.split()

    @property
    def is_active(self) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > utc_now())


class DockerSession(Base):
    """A client that signed in by ``docker login`` and keeps a refresh token, not a password.

    Only the SHA-256 of the refresh token is stored. It holds for one service, and no
    longer than the access token, if it was got with one.
    """

    __tablename__ = "docker_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    access_token_id: Mapped[int | None] = mapped_column(
        ForeignKey("access_tokens.id", ondelete="CASCADE"), index=True
    )
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    service: Mapped[str] = mapped_column(String(255))
    #: What the client calls itself: not to be trusted, only to be recognised.
    client: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)
