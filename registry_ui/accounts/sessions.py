"""Browser sessions, which end at sign-out, a password change, or a block, or after 14 days."""

from __future__ import annotations

import secrets
from datetime import timedelta

from flask_login import UserMixin
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..db.session import db
from ..models import BrowserSession, User, utc_now
from .secrets import secret_hash

SESSION_LIFETIME = timedelta(days=14)


class SignedIn(UserMixin):
    """A signed-in user for Flask-Login, whose id is the random key of a browser session.

    Flask-Login stores the key in the cookie; it is valid only while the database has its hash.
    """

    def __init__(self, key: str) -> None:
        self.id = key


def begin(session: Session, user: User) -> SignedIn:
    """Start a browser session for a user; it is valid once the caller's transaction commits."""
    key = secrets.token_urlsafe(32)
    session.add(BrowserSession(key_hash=secret_hash(key), user_id=user.id, created_at=utc_now()))
    return SignedIn(key)


def find(key: str) -> User | None:
    """Return the user of an active browser session; None if it has ended or the user is blocked."""
    query = (
        select(User)
        .join(BrowserSession, BrowserSession.user_id == User.id)
        .where(
            BrowserSession.key_hash == secret_hash(key),
            BrowserSession.created_at > utc_now() - SESSION_LIFETIME,
            User.is_blocked.is_(False),
        )
    )
    return db.session.scalar(query)


def end(session: Session, key: str) -> None:
    """End the browser session with this key."""
    session.execute(delete(BrowserSession).where(BrowserSession.key_hash == secret_hash(key)))


def end_all(session: Session, user: User) -> None:
    """End all browser sessions of a user."""
    session.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
