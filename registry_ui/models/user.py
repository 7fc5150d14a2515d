"""Users, their sign-ins, and their secrets for docker login and the API."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, UTCDateTime, bytewise, utc_now
from .issued_token import IssuedToken


class User(Base):
    """A person with an account. ``username`` is also the path of their personal namespace."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(bytewise(100), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_blocked: Mapped[bool] = mapped_column(default=False)
    #: Whether clients of the registry must use a token, so that the password is only for the web
    #: pages.
    tokens_only: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # Flask-Login requires these attributes.
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        """Whether the user is not blocked. A blocked user can't sign in or use the registry."""
        return not self.is_blocked


class BrowserSession(Base):
    """A browser in which a user is signed in. Only the hash of its key is stored.

    A sign-out deletes the row, so that a stolen copy of the cookie is no longer valid.
    """

    __tablename__ = "browser_sessions"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)


class UnseenSecret(Base):
    """A new secret, such as an access token, that waits for the page that shows it once.

    It is encrypted with a key derived from the session key in the browser's cookie and the
    application's secret key, so the database alone does not reveal it.
    """

    __tablename__ = "unseen_secrets"

    key_hash: Mapped[str] = mapped_column(
        ForeignKey("browser_sessions.key_hash", ondelete="CASCADE"), primary_key=True
    )
    #: Name of the object that the secret belongs to, such as "access token 7".
    subject: Mapped[str] = mapped_column(bytewise(60), primary_key=True)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, index=True)


class AccessToken(IssuedToken, Base):
    """A user's secret for docker login and the API. Only its SHA-256 is stored."""

    __tablename__ = "access_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: Path that the token is restricted to; None if it is valid wherever its owner has access.
    restriction_path: Mapped[str | None] = mapped_column(bytewise(255))
    #: Whether the token is valid only at exactly that path, and not below it.
    restriction_exact: Mapped[bool] = mapped_column(default=False)

    user: Mapped[User] = relationship(lazy="raise")


class FailedSignIn(Base):
    """A sign-in with a wrong password, kept for some minutes to slow down guessing.

    ``address`` is the network that the failure counts for. Some clients try the same password by
    POST and then by GET (PROTOCOLS 1.6), so failures ``by_post`` are counted separately.
    """

    __tablename__ = "failed_sign_ins"
    __table_args__ = (Index("ix_failed_sign_ins_address_at", "address", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(bytewise(100))
    address: Mapped[str] = mapped_column(String(64))
    by_post: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class KnownSignIn(Base):
    """A user name that signed in successfully from a network, and when that was last recorded.

    Wrong passwords for other names from this network do not slow down sign-ins with this name.
    """

    __tablename__ = "known_sign_ins"

    network: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(bytewise(100), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
