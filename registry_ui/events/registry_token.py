"""The registry token: what the registry shows us to prove that an event is its own."""

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

#: How long the token before a reset stays valid if no event brings the new one.
GRACE = timedelta(hours=24)
#: ``last_used_at`` is written at most once in this time.
LAST_USED_STEP = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TokenView:
    """What a page shows of a registry token. Never the secret itself."""

    masked: str
    created_at: datetime
    created_by: str
    first_used_at: datetime | None
    last_used_at: datetime | None
    valid_until: datetime | None


def ensure() -> str:
    """Return the current secret; make the first one where there is none."""
    ensure_one()
    token = _current(db.session())
    assert token is not None  # noqa: S101 - there is one now
    return _decrypt(token)


def ensure_one() -> None:
    """Make the first token where there is none."""
    if _current(db.session()) is not None:
        return
    try:
        with writing() as session:
            _add(session, CONSOLE)
            record(session, CONSOLE, "registry_token.create", "registry token")
    except IntegrityError:
        return  # another process made it first


def reveal(actor: Actor) -> str:
    """Return the current secret to an administrator, and note that it was shown."""
    ensure()
    with writing() as session:
        token = _current(session)
        assert token is not None  # noqa: S101 - ensure() made one
        record(session, actor, "registry_token.reveal", "registry token")
        return _decrypt(token)


def reset(actor: Actor) -> str:
    """Make a new token and return it.

    The one before stays valid until the first event comes with the new one, at most
    GRACE. Where the one before has itself never been used, the registry still has the
    one before that: then that one stays.
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
    """Let one at a time change which token is in use: the first row ever stands for all."""
    first = select(RegistryToken.id).order_by(RegistryToken.id).limit(1).with_for_update()
    session.execute(first)


def _by_state(session: Session) -> tuple[RegistryToken | None, RegistryToken | None]:
    """Return the current token, and the previous one while its grace lasts."""
    query = select(RegistryToken).where(RegistryToken.state.in_(["current", "previous"]))
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    found = {token.state: token for token in rows}
    previous = found.get("previous")
    if previous is not None and previous.valid_until is not None:
        previous = previous if previous.valid_until > utc_now() else None
    return found.get("current"), previous


def revoke_previous(actor: Actor) -> None:
    """End the grace of the previous token now; raise Clash where there is none."""
    with writing() as session:
        _lock(session)
        if not _revoke_previous(session):
            raise Conflict("There is no previous registry token.")
        record(session, actor, "registry_token.revoke_previous", "registry token")


def recognizes(session: Session, presented: str) -> bool:
    """Whether what an event brought is valid; notes nothing."""
    return _match(session, _given(presented)) is not None


def accept(session: Session, presented: str) -> tuple[bool, bool]:
    """Check what an event brought, in constant time, and note its use.

    Args:
        presented: the Authorization header, ``Bearer T`` or the bare ``T``.

    Returns:
        Whether it is valid, and whether this was the first event with a new token
        that had a predecessor: then the registry was restarted, and may have lost
        events on the way.
    """
    given = _given(presented)
    found = _match(session, given)
    if found is not None and found.first_used_at is None:
        _lock(session)  # a reset at this very moment must see that it is in use
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
    """Return the valid token of that hash; every comparison takes the same time."""
    equal = [
        token
        for token in _by_state(session)
        if token is not None and hmac.compare_digest(token.secret_hash, given)
    ]
    return equal[0] if equal else None


def views() -> tuple[TokenView, TokenView | None]:
    """Return the current token and the previous one while its grace lasts."""
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
