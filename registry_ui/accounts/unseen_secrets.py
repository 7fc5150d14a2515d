"""Temporary storage of a new secret between the form that creates it and the page that shows it.

The form is answered with a redirect, so that reloading the page does not create another secret.
Meanwhile the secret is in the database, encrypted with a key derived from the session key in
the browser's cookie and the application's secret key. So neither the database, nor the cookie,
nor a URL alone reveals it.
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

#: How long a secret is kept if its page is not opened.
LIFETIME = timedelta(minutes=10)


def keep(subject: str, secret: str) -> None:
    """Store a secret until this browser opens the page that shows it.

    Args:
        subject: identifies the secret, for example "access token 7".
    """
    key = _session_key()
    row = UnseenSecret(
        key_hash=secret_hash(key),
        subject=subject,
        ciphertext=_build_fernet(key).encrypt(secret.encode()),
    )
    with writing() as db_session:
        db_session.execute(
            delete(UnseenSecret).where(UnseenSecret.created_at < utc_now() - LIFETIME)
        )
        db_session.merge(row)


def take(subject: str) -> str | None:
    """Return a secret that this browser stored, and delete it, so that it is shown only once.

    Return None if the secret was shown already or has expired, and for a HEAD request.

    Args:
        subject: the ``subject`` that was passed to keep().
    """
    if request.method != "GET":
        return None  # The response to a HEAD has no body, so keep the secret for the GET.
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
        secret = _build_fernet(key).decrypt(ciphertext).decode()
    except InvalidToken:  # The secret key of the application has changed.
        return None
    # The length of a compressed page could reveal parts of the secret (BREACH), so mark the
    # response: it must not be compressed.
    g.is_secret_shown = True
    return secret


def _session_key() -> str:
    return str(session["_user_id"])


def _build_fernet(key: str) -> Fernet:
    secret_key = current_app.config["SECRET_KEY"].encode()
    message = b"registry_ui unseen secret\0" + key.encode()
    derived = hmac.new(secret_key, message, hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(derived))
