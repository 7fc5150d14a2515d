"""The registry token: the secret with which the registry authenticates its notifications."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from flask import current_app
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..accounts.secrets import secret_hash
from ..audit import CONSOLE, REGISTRY, Actor, record
from ..db.session import db, writing
from ..db.statements import update_count
from ..errors import Conflict
from ..models import RegistryToken, utc_now

#: How long the previous token stays valid after a reset if no event arrives with the new one.
GRACE_PERIOD = timedelta(hours=24)
#: Minimum time between two updates of ``last_used_at``, to avoid a write for every event.
LAST_USED_INTERVAL = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TokenView:
    """A registry token as a page shows it: only the end of the secret, in ``masked``."""

    masked: str
    created_at: datetime
    created_by: str
    first_used_at: datetime | None
    last_used_at: datetime | None
    valid_until: datetime | None


def ensure() -> str:
    """Return the secret of the current registry token; create the first token if necessary."""
    ensure_one()
    token = _fetch_current(db.session())
    assert token is not None  # noqa: S101 - there is one now
    return _decrypt(token)


def ensure_one() -> None:
    """Create the first registry token if there is none."""
    if _fetch_current(db.session()) is not None:
        return
    try:
        with writing() as session:
            _add(session, CONSOLE)
            record(session, CONSOLE, "registry_token.create", "registry token")
    except IntegrityError:
        return  # Another process created it first.


def reveal(actor: Actor) -> str:
    """Return the secret of the current registry token, and record this in the audit log."""
    ensure()
    with writing() as session:
        token = _fetch_current(session)
        assert token is not None  # noqa: S101 - ensure() made one
        record(session, actor, "registry_token.reveal", "registry token")
        return _decrypt(token)


def reset(actor: Actor) -> str:
    """Create a new registry token and return its secret.

    The replaced token stays valid until the first event arrives with the new token, but at most for
    GRACE_PERIOD. If the replaced token was never used, the registry still uses the token before it.
    Then that earlier token stays valid, and the replaced token is revoked.
    """
    ensure_one()
    with writing() as session:
        _lock(session)
        current, previous = _fetch_current_and_previous(session)
        if current is not None:
            if current.first_used_at is None and previous is not None:
                current.state, previous.valid_until = "revoked", utc_now() + GRACE_PERIOD
            else:
                _revoke_previous(session)
                current.state, current.valid_until = "previous", utc_now() + GRACE_PERIOD
            session.flush()
        secret = _add(session, actor)
        record(session, actor, "registry_token.reset", "registry token")
        return secret


def _lock(session: Session) -> None:
    """Serialize changes to the states of registry tokens, by locking the table's first row."""
    query = select(RegistryToken.id).order_by(RegistryToken.id).limit(1).with_for_update()
    session.execute(query)


def _fetch_current_and_previous(
    session: Session,
) -> tuple[RegistryToken | None, RegistryToken | None]:
    """Return the current registry token or None, and the previous one if it is still valid."""
    query = select(RegistryToken).where(RegistryToken.state.in_(["current", "previous"]))
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    by_state = {token.state: token for token in rows}
    previous = by_state.get("previous")
    if previous is not None and previous.valid_until is not None:
        previous = previous if previous.valid_until > utc_now() else None
    return by_state.get("current"), previous


def revoke_previous(actor: Actor) -> None:
    """Revoke the previous registry token before its grace period ends.

    Raises:
        Conflict: there is no previous token.
    """
    with writing() as session:
        _lock(session)
        if not _revoke_previous(session):
            raise Conflict("There is no previous registry token.")
        record(session, actor, "registry_token.revoke_previous", "registry token")


def recognizes(session: Session, presented: str) -> bool:
    """Return whether an Authorization header contains a valid registry token; record nothing.

    Args:
        presented: value of the header: ``Bearer TOKEN``, or only ``TOKEN``.
    """
    return _find_match(session, _hash_presented(presented)) is not None


def accept(session: Session, presented: str) -> tuple[bool, bool]:
    """Check the registry token of a notification request, and record its use.

    Args:
        presented: value of the Authorization header: ``Bearer TOKEN``, or only ``TOKEN``.

    Returns:
        Whether the token is valid, and whether this is the first request with a token that replaces
        a previous one. If so, the registry was restarted and may have lost events.
    """
    presented_hash = _hash_presented(presented)
    token = _find_match(session, presented_hash)
    if token is not None and token.first_used_at is None:
        _lock(session)  # A concurrent reset must see that this token is in use.
        token = _find_match(session, presented_hash)
    if token is None:
        return False, False
    now = utc_now()
    if token.last_used_at is None or now - token.last_used_at > LAST_USED_INTERVAL:
        token.last_used_at = now
    if token.first_used_at is not None:
        return True, False
    token.first_used_at = now
    if token.state != "current" or not _revoke_previous(session):
        return True, False
    record(session, REGISTRY, "registry_token.in_use", "registry token")
    return True, True


def _hash_presented(presented: str) -> str:
    """Return the hash of the registry token in an Authorization header."""
    scheme, _, credentials = presented.partition(" ")
    return secret_hash(credentials.strip() if scheme.lower() == "bearer" else presented.strip())


def _find_match(session: Session, presented_hash: str) -> RegistryToken | None:
    """Return the valid registry token with this hash, or None; the comparison is constant-time."""
    matches = [
        token
        for token in _fetch_current_and_previous(session)
        if token is not None and hmac.compare_digest(token.secret_hash, presented_hash)
    ]
    return matches[0] if matches else None


def views() -> tuple[TokenView, TokenView | None]:
    """Return the current registry token, and the previous one, or None after its grace period."""
    ensure_one()
    current, previous = _fetch_current_and_previous(db.session())
    assert current is not None  # noqa: S101 - there is one now
    return _view_from_token(current), _view_from_token(previous) if previous else None


def _revoke_previous(session: Session) -> bool:
    statement = (
        update(RegistryToken).where(RegistryToken.state == "previous").values(state="revoked")
    )
    return bool(update_count(session, statement))


def _add(session: Session, actor: Actor) -> str:
    secret = "rt_" + secrets.token_urlsafe(32)
    session.add(
        RegistryToken(
            secret_encrypted=_build_fernet().encrypt(secret.encode()),
            secret_hash=secret_hash(secret),
            state="current",
            created_by=actor.name,
        )
    )
    session.flush()
    return secret


def _fetch_current(session: Session) -> RegistryToken | None:
    return session.scalar(select(RegistryToken).where(RegistryToken.state == "current"))


def _view_from_token(token: RegistryToken) -> TokenView:
    return TokenView(
        masked="rt_••••••••" + _last_characters(token),
        created_at=token.created_at,
        created_by=token.created_by,
        first_used_at=token.first_used_at,
        last_used_at=token.last_used_at,
        valid_until=token.valid_until,
    )


def _last_characters(token: RegistryToken) -> str:
    try:
        return _decrypt(token)[-4:]
    except Conflict:
        return ""


def _decrypt(token: RegistryToken) -> str:
    try:
        return _build_fernet().decrypt(token.secret_encrypted).decode()
    except InvalidToken:
        raise Conflict(
            "The registry token can't be read: the secret key has changed since it was made.",
            hint="Reset it, and give the new one to the registry.",
        ) from None


def _build_fernet() -> Fernet:
    secret = current_app.config["SECRET_KEY"].encode()
    derived = hashlib.sha256(b"registry_ui registry token\0" + secret).digest()
    return Fernet(base64.urlsafe_b64encode(derived))
