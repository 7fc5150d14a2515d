"""Browser sessions: begun by signing in, ended by signing out, a new password or a block."""

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
    """What Flask-Login keeps in the cookie: a random key, which the database must know."""

    def __init__(self, key: str) -> None:
        self.id = key


def begin(session: Session, user: User) -> SignedIn:
    """Begin a session of a user; it holds once the transaction does."""
    key = secrets.token_urlsafe(32)
    session.add(BrowserSession(key_hash=secret_hash(key), user_id=user.id, created_at=utc_now()))
    return SignedIn(key)


def find(key: str) -> User | None:
    """Return the user of a session that has not ended, by one query."""
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
    """End one session."""
    session.execute(delete(BrowserSession).where(BrowserSession.key_hash == secret_hash(key)))


def end_all(session: Session, user: User) -> None:
    """End every session of a user."""
    session.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
