"""Secrets of programs: deploy tokens, and the refresh tokens that docker stores."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now
from .issued_token import IssuedToken


class DeployToken(IssuedToken, Base):
    """A secret of a project or namespace, for programs. Only its SHA-256 is stored.

    ``username`` is the user name for ``docker login``. It contains a ``+``, which is not allowed
    in the name of a user and needs no quotes in a shell.
    """

    __tablename__ = "deploy_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id", ondelete="CASCADE"), index=True)
    username: Mapped[str] = mapped_column(bytewise(150), unique=True)
    created_by: Mapped[str] = mapped_column(bytewise(255))


class DockerSession(Base):
    """A client that signed in with ``docker login`` and keeps a refresh token, not a password.

    Only the SHA-256 of the refresh token is stored. The token is valid for one ``service``, the
    audience (``aud``) of the bearer tokens that it is exchanged for. If the client signed in with
    an access token, the session ends with that access token.
    """

    __tablename__ = "docker_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    access_token_id: Mapped[int | None] = mapped_column(
        ForeignKey("access_tokens.id", ondelete="CASCADE"), index=True
    )
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    service: Mapped[str] = mapped_column(String(255))
    #: The client's own name for itself: it helps to recognize the client, but is not verified.
    client: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)
