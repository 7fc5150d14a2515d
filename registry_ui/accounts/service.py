"""Changes to accounts and access tokens, each in one transaction with its audit entry."""

from __future__ import annotations

from functools import partial

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..access import Principal, at_or_below, can_see_repository, path_access
from ..access.reserved_paths import require_free
from ..audit import CONSOLE, Actor, record
from ..db.session import db, writing
from ..errors import Conflict, Invalid, NotFound
from ..models import AccessToken, Namespace, UnassignedRepository, User, utc_now
from ..names import (
    RESERVED_FIRST_SEGMENTS,
    RESTRICTED_FIRST_SEGMENTS,
    NameInvalid,
    PlacePath,
    path_component,
    suggest_component,
)
from . import docker_sessions, sessions
from .authentication import Attempt, principal_of, verify_account
from .secrets import (
    ACCESS_PREFIX,
    MAX_PASSWORD,
    MIN_PASSWORD,
    hash_password,
    new_password,
    new_secret,
    secret_hash,
)
from .tokens import NewAccessToken, TokenRequest, validate_token_request

MAX_USERNAME = 100


def validate_username(username: str) -> str:
    """Return a user name if it is valid, also as the path of the personal namespace.

    Raises:
        Invalid: the user name is not valid. The message suggests the nearest valid one.
    """
    if len(username) > MAX_USERNAME:
        raise _invalid_username(f"A user name has at most {MAX_USERNAME} characters.", username)
    try:
        # Check for one path component first: that error describes the rules for a user name.
        PlacePath(path_component(username))
    except NameInvalid as error:
        raise _invalid_username(str(error), username) from None
    if username in RESTRICTED_FIRST_SEGMENTS:
        raise _invalid_username(f"“{username}” is reserved. Choose another name.", username)
    return username


def _invalid_username(message: str, username: str) -> Invalid:
    suggestion = suggested_username(username)
    if suggestion and suggestion != username:
        message += f" “{suggestion}” can be used."
    return Invalid("The user name can't be used.", {"username": message})


def suggested_username(text: str) -> str:
    """Return the nearest valid user name: ``jane-doe`` for ``Jane Doe@corp.example``.

    Returns "" if no usable character is left, or if the name is reserved.
    """
    name = suggest_component(text.partition("@")[0][:MAX_USERNAME])
    is_usable = name not in RESTRICTED_FIRST_SEGMENTS | RESERVED_FIRST_SEGMENTS
    return name if is_usable else ""


def validate_password(password: str, field: str = "password") -> str:
    """Return a password if its length is allowed; raise Invalid for ``field`` otherwise."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        message = f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters."
        raise Invalid("The password can't be used.", {field: message})
    return password


def create_user(actor: Actor, username: str, password: str, *, is_admin: bool = False) -> User:
    """Create an account and its personal namespace.

    Raises:
        Invalid: the user name or the password is not valid.
        Conflict: the name is taken by an account, a namespace, a project, or a move.
    """
    validate_username(username)
    password_hash = hash_password(validate_password(password))
    try:
        with writing() as session:
            return _add_user(session, actor, username, password_hash, is_admin=is_admin)
    except IntegrityError:
        raise Conflict(
            "The user name is taken.", {"username": f"“{username}” is taken. Choose another."}
        ) from None


def _add_user(
    session: Session, actor: Actor, username: str, password_hash: str, *, is_admin: bool
) -> User:
    user = User(username=username, password_hash=password_hash, is_admin=is_admin)
    session.add(user)
    session.flush()
    require_free(session, username, "username")
    session.add(Namespace(path=username, owner_id=user.id))
    record(session, actor, "user.create", username, is_admin=is_admin)
    session.flush()
    return user


def ensure_first_administrator(username: str, password: str | None) -> str | None:
    """Create an administrator account if there is none yet.

    Args:
        password: None to generate a random one.

    Returns:
        The password, to be shown once; None if an administrator exists already.
    """
    first_password = password or new_password()
    if db.session.scalar(select(User.id).where(User.is_admin.is_(True)).limit(1)):
        return None
    create_user(CONSOLE, username, first_password, is_admin=True)
    return first_password


def find_user(username: str) -> User:
    """Return the account with this user name; raise NotFound if there is none."""
    user = db.session.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFound(f"There is no user “{username[:MAX_USERNAME]}”.")
    return user


def change_password(actor: Actor, user: User, current: str, new: str) -> sessions.SignedIn:
    """Change a user's password and end all sessions; return a new session for this browser.

    Raises:
        Invalid: the current password is wrong, or the new one has a length that is not allowed.
        TooManyAttempts: too many wrong passwords, or too many checks at the same time.
    """
    if verify_account(Attempt(user.username, current, actor.address)) is None:
        raise Invalid("The password was not changed.", {"current_password": "This is not it."})
    password_hash = hash_password(validate_password(new, "new_password"))
    with writing() as session:
        user.password_hash = password_hash
        session.add(user)
        _end_all_sessions(session, user)
        record(session, actor, "user.password", user.username)
        return sessions.begin(session, user)


def set_password(actor: Actor, username: str, new: str) -> None:
    """Set a user's password without asking for the current one, and end all their sessions."""
    password_hash = hash_password(validate_password(new))
    with writing() as session:
        user = find_user(username)
        user.password_hash = password_hash
        _end_all_sessions(session, user)
        record(session, actor, "user.password", user.username)


def _end_all_sessions(session: Session, user: User) -> None:
    """End all browser sessions and docker sessions of a user."""
    sessions.end_all(session, user)
    docker_sessions.end_all(session, user)


def sign_in(actor: Actor, user: User) -> sessions.SignedIn:
    """Start a browser session for a user and record the sign-in in the audit log."""
    with writing() as session:
        user.last_sign_in_at = utc_now()
        session.add(user)
        record(session, actor, "user.sign_in", user.username)
        return sessions.begin(session, user)


def sign_out(key: str) -> None:
    """End a browser session, so that copies of its cookie are no longer valid either."""
    with writing() as session:
        sessions.end(session, key)


def set_blocked(actor: Actor, username: str, *, on: bool) -> None:
    """Block an account, which ends all its sessions, or unblock it."""
    _update_user(actor, username, "user.block" if on else "user.unblock", is_blocked=on)


def set_tokens_only(actor: Actor, username: str, *, on: bool) -> None:
    """Require a token instead of the password in registry clients, or allow passwords again."""
    _update_user(actor, username, "user.tokens_only" if on else "user.passwords", tokens_only=on)


def set_admin(actor: Actor, username: str, *, on: bool) -> None:
    """Make a user an administrator, or an administrator a normal user."""
    _update_user(actor, username, "user.promote" if on else "user.demote", is_admin=on)


def _update_user(actor: Actor, username: str, action: str, **values: bool) -> None:
    with writing() as session:
        # Lock the rows of all administrators, so that two of them can't demote each other at once.
        is_affected = (User.username == username) | User.is_admin.is_(True)
        rows = session.scalars(select(User).where(is_affected).order_by(User.id).with_for_update())
        user = next((row for row in rows.all() if row.username == username), None)
        if user is None:
            raise NotFound(f"There is no user “{username[:MAX_USERNAME]}”.")
        for name, value in values.items():
            setattr(user, name, value)
        if values.get("is_blocked"):
            _end_all_sessions(session, user)
        record(session, actor, action, username)
        session.flush()
        active_admins = (
            select(func.count())
            .select_from(User)
            .where(User.is_admin.is_(True), User.is_blocked.is_(False))
        )
        if session.scalar(active_admins) == 0:
            raise Conflict("The last administrator can be neither blocked nor demoted.")


def create_access_token(actor: Actor, user: User, request: TokenRequest) -> NewAccessToken:
    """Create an access token; return its id and its secret, which is stored only as a hash.

    Raises:
        Invalid: the name, scopes, expiry, or path restriction is not valid, or the user can't
            see the path.
    """
    validated = validate_token_request(request, partial(_can_see, principal_of(user)))
    secret = new_secret(ACCESS_PREFIX)
    token = AccessToken(
        user_id=user.id,
        name=validated.name,
        secret_hash=secret_hash(secret),
        scopes=validated.scopes,
        expires_at=validated.expires_at,
        restriction_path=validated.restriction.path if validated.restriction else None,
        restriction_exact=bool(validated.restriction and validated.restriction.exact),
    )
    with writing() as session:
        session.add(token)
        detail = {"name": validated.name, "scopes": validated.scopes.split()}
        if validated.restriction:
            detail["restriction"] = str(validated.restriction)
        record(session, actor, "access_token.create", user.username, **detail)
    return NewAccessToken(token.id, secret)


def _can_see(principal: Principal, path: str) -> bool:
    """Return whether a user can see the namespace, project, or image with this path.

    The image need not exist: it is enough that the user can see the project that owns its path.
    """
    session = db.session()
    is_visible = can_see_repository(session, principal, path_access(session, principal, path))
    if not is_visible and principal.is_admin:
        # Only administrators can see and pull repositories that belong to no project.
        query = select(UnassignedRepository.path).where(
            at_or_below(UnassignedRepository.path, path)
        )
        return session.scalar(query.limit(1)) is not None
    return is_visible


def revoke_access_token(actor: Actor, user: User, token_id: int) -> None:
    """Revoke one of the user's access tokens; raise NotFound if the user has no such token."""
    with writing() as session:
        token = session.get(AccessToken, token_id)
        if token is None or token.user_id != user.id:
            raise NotFound
        if token.revoked_at is None:
            token.revoked_at = utc_now()
            record(session, actor, "access_token.revoke", user.username, name=token.name)


def access_tokens(user: User) -> list[AccessToken]:
    """Return all access tokens of a user, newest first, including revoked and expired ones."""
    query = (
        select(AccessToken).where(AccessToken.user_id == user.id).order_by(AccessToken.id.desc())
    )
    return list(db.session.scalars(query))
