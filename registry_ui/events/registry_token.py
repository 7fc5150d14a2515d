"""The registry token: the secret by which the registry authenticates its notifications."""

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
GRACE = timedelta(hours=24)
#: Minimum time between two updates of ``last_used_at``, to avoid a write for every event.
LAST_USED_STEP = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TokenView:
    """A registry token as a page shows it, without the secret."""

    masked: str
    created_at: datetime
    created_by: str
    first_used_at: datetime | None
    last_used_at: datetime | None
    valid_until: datetime | None


def ensure() -> str:
    """Return the current secret, after creating the first token if necessary."""
    ensure_one()
    token = _current(db.session())
    assert token is not None  # noqa: S101 - there is one now
    return _decrypt(token)


def ensure_one() -> None:
    """Create the first token if there is none."""
    if _current(db.session()) is not None:
        return
    try:
        with writing() as session:
            _add(session, CONSOLE)
            record(session, CONSOLE, "registry_token.create", "registry token")
    except IntegrityError:
        return  # Another process created it first.


def reveal(actor: Actor) -> str:
    """Return the current secret, and record in the audit log that it was shown."""
    ensure()
    with writing() as session:
        token = _current(session)
        assert token is not None  # noqa: S101 - ensure() made one
        record(session, actor, "registry_token.reveal", "registry token")
        return _decrypt(token)


def reset(actor: Actor) -> str:
    """Create a new token and return its secret.

    The replaced token stays valid until the first event arrives with the new one, at most for
    GRACE. If the replaced token was never used, the registry still uses the one before it; then
    that one stays valid instead.
    """
    ensure_one()
    with writing() as session:
        _lock(session)
        old, previous = _by_state(session)
        if old is not None:
            if old.first_used_at is None and previous is not None:
                old.state, previous.valid_until = "revoked", utc_now() + GRACE
            else:
                _revoke_previous(session)
                old.state, old.valid_until = "previous", utc_now() + GRACE
            session.flush()
        secret = _add(session, actor)
        record(session, actor, "registry_token.reset", "registry token")
        return secret


def _lock(session: Session) -> None:
    """Serialize changes of the tokens' states by locking the first row of the table."""
    first = select(RegistryToken.id).order_by(RegistryToken.id).limit(1).with_for_update()
    session.execute(first)


def _by_state(session: Session) -> tuple[RegistryToken | None, RegistryToken | None]:
    """Return the current token, and the previous one if its grace period has not ended."""
    query = select(RegistryToken).where(RegistryToken.state.in_(["current", "previous"]))
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    found = {token.state: token for token in rows}
    previous = found.get("previous")
    if previous is not None and previous.valid_until is not None:
        previous = previous if previous.valid_until > utc_now() else None
    return found.get("current"), previous


def revoke_previous(actor: Actor) -> None:
    """Revoke the previous token before its grace period ends.

    Raises:
        Conflict: there is no previous token.
    """
    with writing() as session:
        _lock(session)
        if not _revoke_previous(session):
            raise Conflict("There is no previous registry token.")
        record(session, actor, "registry_token.revoke_previous", "registry token")


def recognizes(session: Session, presented: str) -> bool:
    """Return whether an Authorization header contains a valid token, without recording its use.

    Args:
        presented: the header, ``Bearer T`` or the bare ``T``.
    """
    return _match(session, _given(presented)) is not None


def accept(session: Session, presented: str) -> tuple[bool, bool]:
    """Check the token of a delivery in constant time, and record its use.

    Args:
        presented: the Authorization header, ``Bearer T`` or the bare ``T``.

    Returns:
        Whether the token is valid, and whether this is the first delivery with a token that
        replaces another one. The second means that the registry was restarted and may have lost
        events.
    """
    given = _given(presented)
    found = _match(session, given)
    if found is not None and found.first_used_at is None:
        _lock(session)  # A concurrent reset must see that this token is in use.
        found = _match(session, given)
    if found is None:
        return False, False
    now = utc_now()
    if found.last_used_at is None or now - found.last_used_at > LAST_USED_STEP:
        found.last_used_at = now
    if found.first_used_at is not None:
        return True, False
    found.first_used_at = now
    if found.state != "current" or not _revoke_previous(session):
        return True, False
    record(session, REGISTRY, "registry_token.in_use", "registry token")
    return True, True


def _given(presented: str) -> str:
    """Return the hash of the token in an Authorization header."""
    scheme, _, rest = presented.partition(" ")
    return secret_hash(rest.strip() if scheme.lower() == "bearer" else presented.strip())


def _match(session: Session, given: str) -> RegistryToken | None:
    """Return the valid token with this hash, or None; hashes are compared in constant time."""
    equal = [
        token
        for token in _by_state(session)
        if token is not None and hmac.compare_digest(token.secret_hash, given)
    ]
    return equal[0] if equal else None


def views() -> tuple[TokenView, TokenView | None]:
    """Return views of the current token, and of the previous one during its grace period."""
    ensure_one()
    current, previous = _by_state(db.session())
    assert current is not None  # noqa: S101 - there is one now
    return _view(current), _view(previous) if previous else None


def _revoke_previous(session: Session) -> bool:
    statement = (
        update(RegistryToken).where(RegistryToken.state == "previous").values(state="revoked")
    )
    return bool(update_count(session, statement))


def _add(session: Session, actor: Actor) -> str:
    secret = "rt_" + secrets.token_urlsafe(32)
    session.add(
        RegistryToken(
            secret_encrypted=_fernet().encrypt(secret.encode()),
            secret_hash=secret_hash(secret),
            state="current",
            created_by=actor.name,
        )
    )
    session.flush()
    return secret


def _current(session: Session) -> RegistryToken | None:
    return session.scalar(select(RegistryToken).where(RegistryToken.state == "current"))


def _view(token: RegistryToken) -> TokenView:
    return TokenView(
        masked="rt_••••••••" + _tail(token),
        created_at=token.created_at,
        created_by=token.created_by,
        first_used_at=token.first_used_at,
        last_used_at=token.last_used_at,
        valid_until=token.valid_until,
    )


def _tail(token: RegistryToken) -> str:
    try:
        return _decrypt(token)[-4:]
    except Conflict:
        return ""


def _decrypt(token: RegistryToken) -> str:
    try:
        return _fernet().decrypt(token.secret_encrypted).decode()
    except InvalidToken:
        raise Conflict(
            "The registry token can't be read: the secret key has changed since it was made.",
            hint="Reset it, and give the new one to the registry.",
        ) from None


def _fernet() -> Fernet:
    secret = current_app.config["SECRET_KEY"].encode()
    derived = hashlib.sha256(b"registry_ui registry token\0" + secret).digest()
    return Fernet(base64.urlsafe_b64encode(derived))
