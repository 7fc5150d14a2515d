"""Who shows these credentials: an account password or an access token."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from ..access import Principal
from ..extensions import db, release, writing
from ..models import AccessToken, User, utc_now
from . import throttle
from .secrets import looks_like_access_token, secret_hash, verify_password

#: ``last_used_at`` is coarse: at most one write for a token in this time.
LAST_USED_STEP = timedelta(minutes=10)


def authenticate(username: str, password: str, address: str) -> Principal | None:
    """Return the principal of right credentials, None for any that are wrong.

    Raises throttle.TooManyAttempts for a password after many wrong ones from ``address``.

    An access token must come with its owner's user name. On its path there is no
    password hash, and no write but the coarse ``last_used_at``.
    """
    if looks_like_access_token(password):
        return authenticate_token(password, username)
    user = verify_account(username, password, address)
    return principal_of(user) if user else None


def authenticate_token(secret: str, username: str | None = None) -> Principal | None:
    """Return the principal of an access token, if it is valid and, where given, the user's own."""
    now = utc_now()
    query = (
        select(
            AccessToken.id,
            AccessToken.scopes,
            AccessToken.last_used_at,
            User.id.label("user_id"),
            User.username,
            User.is_admin,
        )
        .join(User, User.id == AccessToken.user_id)
        .where(
            AccessToken.secret_hash == secret_hash(secret),
            AccessToken.revoked_at.is_(None),
            (AccessToken.expires_at.is_(None)) | (AccessToken.expires_at > now),
            User.is_blocked.is_(False),
        )
    )
    row = db.session.execute(query).first()
    if row is None or (username is not None and username.lower() != row.username):
        return None
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_STEP:
        with writing() as session:
            session.execute(
                update(AccessToken).where(AccessToken.id == row.id).values(last_used_at=now)
            )
    return Principal(row.user_id, row.username, row.is_admin, frozenset(row.scopes.split()))


def verify_account(username: str, password: str, address: str) -> User | None:
    """Return the user of a right password, unless blocked. Unknown users cost as much.

    A wrong password is counted and noted in the audit.

    Raises throttle.TooManyAttempts.
    """
    throttle.check(username, address)
    # What can't be a name is not asked for: PostgreSQL refuses a NUL.
    known = username.lower() if username.isprintable() else ""
    user = db.session.scalar(select(User).where(User.username == known))
    # The hash takes a tenth of a second: no transaction stays open meanwhile.
    release()
    with throttle.one_of_few():
        throttle.check(username, address)  # those before us may have failed meanwhile
        release()
        right = verify_password(user.password_hash if user else None, password)
        if right and user is not None and user.is_active:
            return user
        throttle.failed(username, address)
    return None


def principal_of(user: User) -> Principal:
    """Return the principal of a person who proved who they are without an access token."""
    return Principal(user.id, user.username, user.is_admin)
