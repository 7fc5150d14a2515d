"""New secrets on their way from the form that made them to the page that shows them once.

A form is answered with a redirect, so that reloading the page makes no second secret. In
between, the secret is in the database, encrypted with a key that comes from the session key in
the browser's cookie and from the secret key of the application. So neither the database, nor
the cookie, nor an address gives it away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from flask import current_app, g, request, session
from sqlalchemy import delete

from ..db.session import writing
from ..models import UnseenSecret, utc_now
from .secrets import secret_hash

#: How long a secret waits for its page.
LIFETIME = timedelta(minutes=10)


def keep(subject: str, secret: str) -> None:
    """Keep a secret for the next page of this browser.

    Args:
        subject: says which secret it is, such as "access token 7".
    """
    key = _session_key()
    row = UnseenSecret(
        key_hash=secret_hash(key),
        subject=subject,
        ciphertext=_fernet(key).encrypt(secret.encode()),
    )
    with writing() as db_session:
        db_session.execute(
            delete(UnseenSecret).where(UnseenSecret.created_at < utc_now() - LIFETIME)
        )
        db_session.merge(row)


def take(subject: str) -> str | None:
    """Return a secret that this browser has not been shown yet; from now on it has.

    Returns None for a secret that was shown already, or waited for too long.
    """
    if request.method != "GET":
        return None  # The answer to a HEAD shows nothing.
    key = _session_key()
    query = (
        delete(UnseenSecret)
        .where(
            UnseenSecret.key_hash == secret_hash(key),
            UnseenSecret.subject == subject,
            UnseenSecret.created_at >= utc_now() - LIFETIME,
        )
        .returning(UnseenSecret.ciphertext)
    )
    with writing() as db_session:
        ciphertext = db_session.scalar(query)
    if ciphertext is None:
        return None
    try:
        secret = _fernet(key).decrypt(ciphertext).decode()
    except InvalidToken:  # The secret key of the application has changed.
        return None
    # The length of a compressed page could betray parts of it (BREACH).
    g.is_secret_shown = True
    return secret


def _session_key() -> str:
    return str(session["_user_id"])


def _fernet(key: str) -> Fernet:
    secret_key = current_app.config["SECRET_KEY"].encode()
    message = b"registry_ui unseen secret\0" + key.encode()
    derived = hmac.new(secret_key, message, hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(derived))
