"""Authentication by account password, access token, deploy token, or docker session.

An access token belongs to a user, a deploy token to a namespace or project. A docker session is
a refresh token that ``docker login`` stores instead of a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import bindparam, select, update

from ..access import (
    ACCESS_TOKEN,
    DEPLOY_TOKEN,
    AccessLookup,
    CredentialQuery,
    PathRestriction,
    Principal,
)
from ..db.session import db, end_read, writing
from ..errors import Unauthorized
from ..models import AccessToken, DeployToken, DockerSession, Place, User, utc_now
from ..networks import network_of
from . import throttle
from .failing_blocks import failing_blocks
from .hashing import verify_password
from .password_cache import cached_passwords
from .password_checks import Client, password_checks
from .secrets import ACCESS_PREFIX, DEPLOY_PREFIX, SESSION_PREFIX, prefix_of, secret_hash

#: Minimum time between two updates of a credential's ``last_used_at`` column.
LAST_USED_INTERVAL = timedelta(minutes=10)
WRONG_CREDENTIALS = "The user name, password or access token is wrong."
SWAPPED_CREDENTIALS = "A token was given as the user name."
SWAPPED_HINT = "Give your user name as the user name, and the token as the password."
SESSION_ENDED = "This docker session has ended. Sign in again."
NO_PASSWORDS = "Account passwords are not accepted here: use an access token."


class BadCredentials(Unauthorized):
    """The credentials are wrong or not accepted.

    The message says that a token was revoked or has expired only if the client sent its secret.
    ``username`` is the owner of the secret or password that was recognized; empty if none was.
    """

    def __init__(
        self, message: str = WRONG_CREDENTIALS, hint: str = "", username: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.username = username


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in attempt: the credentials and where they come from.

    Attributes:
        password: the account password, or an access or deploy token.
        address: IP address of the client.
        by_post: whether the credentials were sent in an OAuth 2 form by POST (PROTOCOLS 1.3).
    """

    username: str
    password: str = field(repr=False)
    address: str
    by_post: bool = False


def authenticate(
    attempt: Attempt, lookup: AccessLookup | None = None, *, passwords: bool = True
) -> Principal:
    """Verify credentials and return the principal (user or deploy token) that they belong to.

    An access token is accepted only with the user name of its owner, a deploy token only with
    its own. Verifying a token computes no password hash and writes nothing except
    ``last_used_at``, at most every ten minutes.

    Args:
        lookup: the paths whose access is read in the same query as the credentials.
        passwords: whether account passwords are accepted at all. Users with ``tokens_only``
            need a token in any case.

    Raises:
        BadCredentials: the credentials are wrong, a token was sent as the user name, or the
            password is correct but account passwords are not accepted.
        throttle.TooManyAttempts: too many wrong passwords from this address, or too many
            sign-ins at the same time.
    """
    if prefix_of(attempt.username.strip()) is not None:
        raise BadCredentials(SWAPPED_CREDENTIALS, hint=SWAPPED_HINT)
    lookup = lookup or AccessLookup()
    authenticator = _AUTHENTICATORS.get(prefix_of(attempt.password) or "")
    if authenticator is not None:
        return authenticator(attempt.password, attempt.username, lookup)
    user = _authenticate_password(attempt, lookup)
    if not passwords or user.tokens_only:
        raise BadCredentials(NO_PASSWORDS, "Make one on your profile page.", user.username)
    return principal_of(user)


def authenticate_token(secret: str, username: str | None = None) -> Principal:
    """Verify an access or deploy token and return its principal.

    Args:
        username: the user name sent with the token; None if the client sent none.

    Raises:
        BadCredentials: the token is unknown, revoked, or expired, its owner is blocked, or
            the user name is not that of the owner or the deploy token.
    """
    authenticator = _AUTHENTICATORS.get(prefix_of(secret) or "")
    if authenticator is None:
        raise BadCredentials
    return authenticator(secret, username, AccessLookup())


#: Columns to read for an access token, also for the one with which a docker session was started.
_TOKEN_COLUMNS: tuple[Any, ...] = (
    AccessToken.id.label("token_id"),
    AccessToken.name,
    AccessToken.scopes,
    AccessToken.restriction_path,
    AccessToken.restriction_exact,
    AccessToken.expires_at,
    AccessToken.revoked_at,
    AccessToken.last_used_at,
    User.id.label("user_id"),
    User.username,
    User.is_admin,
    User.is_blocked,
)


_HASH = bindparam("hash", type_=AccessToken.secret_hash.type)
_ACCESS_TOKEN_QUERY = CredentialQuery(
    select(*_TOKEN_COLUMNS)
    .join(User, User.id == AccessToken.user_id)
    .where(AccessToken.secret_hash == _HASH),
    User.id,
)
_DEPLOY_TOKEN_QUERY = CredentialQuery(
    select(
        DeployToken.id,
        DeployToken.name,
        DeployToken.username,
        DeployToken.scopes,
        DeployToken.expires_at,
        DeployToken.revoked_at,
        DeployToken.last_used_at,
        Place.path.label("home"),
    )
    .join(Place, Place.id == DeployToken.place_id)
    .where(DeployToken.secret_hash == _HASH)
)
_SESSION_QUERY = CredentialQuery(
    select(
        DockerSession.id,
        DockerSession.service,
        DockerSession.client,
        DockerSession.last_used_at.label("session_used_at"),
        User.tokens_only,
        *_TOKEN_COLUMNS,
    )
    .join(User, User.id == DockerSession.user_id)
    .outerjoin(AccessToken, AccessToken.id == DockerSession.access_token_id)
    .where(DockerSession.secret_hash == _HASH),
    User.id,
)
_USER_QUERY = CredentialQuery(
    select(
        User.id,
        User.username,
        User.is_admin,
        User.is_blocked,
        User.tokens_only,
        User.password_hash,
    )
    .select_from(User)
    .where(User.username == bindparam("username", type_=User.username.type)),
    User.id,
)


def _fetch_by_hash(query: CredentialQuery, secret: str, lookup: AccessLookup) -> Any:
    return lookup.first(db.engine, query, hash=secret_hash(secret))


def _authenticate_access_token(
    secret: str, username: str | None, lookup: AccessLookup
) -> Principal:
    row = _fetch_by_hash(_ACCESS_TOKEN_QUERY, secret, lookup)
    if row is None or row.is_blocked:
        raise BadCredentials
    if username is not None and username.lower() != row.username:
        raise BadCredentials
    _require_active(ACCESS_TOKEN, row)
    _record_use(AccessToken, row.token_id, row.last_used_at)
    return _principal_from_token(row, f"{ACCESS_TOKEN} “{row.name}”")


def _principal_from_token(row: Any, credential: str) -> Principal:
    return Principal(
        user_id=row.user_id,
        username=row.username,
        is_admin=row.is_admin,
        scopes=frozenset(row.scopes.split()),
        restriction=PathRestriction(row.restriction_path, row.restriction_exact)
        if row.restriction_path
        else None,
        credential=credential,
        token_id=row.token_id,
    )


def _authenticate_deploy_token(
    secret: str, username: str | None, lookup: AccessLookup
) -> Principal:
    row = _fetch_by_hash(_DEPLOY_TOKEN_QUERY, secret, lookup)
    if row is None or (username is not None and username != row.username):
        raise BadCredentials
    _require_active(DEPLOY_TOKEN, row)
    _record_use(DeployToken, row.id, row.last_used_at)
    return Principal(
        username=row.username,
        scopes=frozenset(row.scopes.split()),
        home=row.home,
        credential=f"{DEPLOY_TOKEN} “{row.name}”",
    )


def authenticate_session(
    secret: str, service: str, lookup: AccessLookup | None = None, *, passwords: bool = True
) -> Principal:
    """Verify the refresh token of a docker session and return the principal of its user.

    Args:
        service: audience (``aud``) that the client requests a token for; must be the one for
            which the session was started.
        lookup: the paths whose access is read in the same query as the session.
        passwords: whether sessions that were started with an account password are accepted.

    Raises:
        BadCredentials: the session has ended or has a different ``service``, its user is blocked,
            its access token was revoked or has expired, or passwords are not accepted.
    """
    if prefix_of(secret) != SESSION_PREFIX:
        raise BadCredentials("The refresh token is wrong. Sign in again.")
    row = _fetch_by_hash(_SESSION_QUERY, secret, lookup or AccessLookup())
    if row is None:
        raise BadCredentials(SESSION_ENDED)
    if row.is_blocked or row.service != service:
        raise BadCredentials(SESSION_ENDED, username=row.username)
    credential = f"docker session “{row.client}”"
    if row.token_id is not None:
        _require_active(ACCESS_TOKEN, row)
        # A session has the permissions of the credential it was started with.
        principal = _principal_from_token(row, f"{ACCESS_TOKEN} of the {credential}")
    elif row.tokens_only or not passwords:
        raise BadCredentials(NO_PASSWORDS, "Make one on your profile page.", row.username)
    else:
        principal = Principal(row.user_id, row.username, row.is_admin, credential=credential)
    _record_use(DockerSession, row.id, row.session_used_at)
    return principal


#: Functions that verify a token sent in place of a password, by the prefix of the token.
_AUTHENTICATORS = {
    ACCESS_PREFIX: _authenticate_access_token,
    DEPLOY_PREFIX: _authenticate_deploy_token,
}


def _require_active(kind: str, row: Any) -> None:
    """Raise BadCredentials if a token was revoked or has expired.

    The message gives the reason, because the client sent the secret of the token.
    """
    if row.revoked_at is not None:
        message = f"The {kind} “{row.name}” was revoked."
        raise BadCredentials(message, username=row.username)
    if row.expires_at is not None and row.expires_at <= utc_now():
        day = row.expires_at.date().isoformat()
        message = f"The {kind} “{row.name}” expired on {day}."
        raise BadCredentials(message, username=row.username)


def _record_use(model: Any, row_id: int, last_used_at: datetime | None) -> None:
    now = utc_now()
    if last_used_at is None or now - last_used_at > LAST_USED_INTERVAL:
        with writing() as session:
            session.execute(update(model).where(model.id == row_id).values(last_used_at=now))


def _authenticate_password(attempt: Attempt, lookup: AccessLookup) -> Any:
    """Return the user if the password is correct; raise BadCredentials otherwise.

    A password that was verified minutes ago is looked up in the cache instead of hashed.
    """
    username = _normalize_username(attempt.username)
    if cached_passwords().may_be_right(username, attempt.password):
        user = lookup.first(db.engine, _USER_QUERY, username=username)
        if user is not None and not user.is_blocked and _is_cached(user, attempt.password):
            return user
    account = verify_account(attempt)
    if account is None:
        raise BadCredentials
    return account


def verify_account(attempt: Attempt) -> User | None:
    """Return the user if the password is correct and the account is not blocked, else None.

    An unknown user name takes as long as a wrong password. A wrong password is counted and
    recorded in the audit log. Throttled attempts are refused without a query, so that a flood
    of guesses does not use up the CPU.

    Raises:
        BadCredentials: an access or deploy token was sent as the user name.
        TooManyAttempts: too many wrong passwords, or too many checks at the same time.
    """
    if prefix_of(attempt.username.strip()) is not None:
        raise BadCredentials(SWAPPED_CREDENTIALS, hint=SWAPPED_HINT)
    name, network = throttle.stored_name(attempt.username), network_of(attempt.address)
    refusals = throttle.refusals()
    if not cached_passwords().may_be_right(_normalize_username(attempt.username), attempt.password):
        refusals.check(name, network)
    is_failing = failing_blocks().includes(attempt.address)
    client = Client(name, network, refusals.is_suspect(network), is_failing)
    check, is_known = partial(_check_password, attempt), partial(_is_known, name, network)
    is_correct = password_checks().share(client, attempt.password, check, is_known)
    return _find_user(attempt.username) if is_correct else None


def _is_known(name: str, network: str) -> bool:
    """Return whether a user signed in from a network recently, and end the read transaction.

    The caller waits for a password hash next, and no transaction should stay open meanwhile.
    """
    is_recent = throttle.is_known(name, network)
    end_read()
    return is_recent


def _check_password(attempt: Attempt) -> bool:
    """Return whether the password is correct and the user not blocked; count wrong passwords.

    Checks for the same user name and network run one at a time (see password_checks.py).
    """
    user = _find_user(attempt.username)
    if user is not None and _is_cached(user, attempt.password):
        end_read()
        return user.is_active
    throttle.check(attempt.username, attempt.address)
    name, network = throttle.stored_name(attempt.username), network_of(attempt.address)
    # Hashing takes a tenth of a second: _is_known() ends the transaction before that.
    priority = _is_known(name, network)
    stored_hash = user.password_hash if user else None
    is_correct = verify_password(stored_hash, attempt.password, priority=priority)
    if not is_correct or user is None or not user.is_active:
        failing_blocks().add(attempt.address)
        throttle.record_failure(attempt.username, attempt.address, by_post=attempt.by_post)
        return False
    cached_passwords().keep(user.username, attempt.password, user.password_hash)
    throttle.record_success(user.username, attempt.address)
    return True


def _find_user(username: str) -> User | None:
    return db.session.scalar(select(User).where(User.username == _normalize_username(username)))


def _is_cached(user: Any, password: str) -> bool:
    return cached_passwords().is_right(user.username, password, user.password_hash)


def _normalize_username(username: str) -> str:
    """Return the user name in lower case, or "" if it has unprintable characters.

    PostgreSQL rejects text that contains a NUL.
    """
    return username.lower() if username.isprintable() else ""


def principal_of(user: Any) -> Principal:
    """Return the principal of a user (a User or a row) who is authenticated without a token."""
    return Principal(user.id, user.username, user.is_admin)
