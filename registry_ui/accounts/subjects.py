"""Subjects of the access check: the user, deploy token, or anonymous client behind a user name.

The access check answers whether a subject can pull from, push to, or delete in a repository.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import (
    ACCESS_TOKEN,
    ANONYMOUS,
    DEPLOY_TOKEN,
    PathRestriction,
    Principal,
    Role,
    path_access,
)
from ..errors import NotFound
from ..models import AccessToken, DeployToken, Place, User

TOKENS_ONLY_NOTE = "account passwords are not accepted: it takes an access token"


@dataclass(frozen=True, slots=True)
class Subject:
    """A principal to check access for, without its credentials.

    Attributes:
        problem: why no credentials of this subject are accepted (blocked, revoked, expired, or
            unknown); empty if they are accepted.
        note: a remark about how the subject must sign in; often empty.
    """

    principal: Principal
    problem: str = ""
    note: str = ""


def find_subject(session: Session, username: str, *, passwords: bool = True) -> Subject:
    """Return the user or deploy token with this user name, or an anonymous client for "".

    For an unknown name, the ``problem`` of the subject says that it does not exist.

    Args:
        passwords: whether registry clients are allowed to sign in with account passwords.
    """
    if not username:
        return Subject(ANONYMOUS)
    if not username.isprintable():
        return unknown_subject(username)
    if "+" in username:
        return _find_deploy_token(session, username)
    user = session.scalar(select(User).where(User.username == username.lower()))
    if user is None:
        return unknown_subject(username)
    principal = Principal(user.id, user.username, user.is_admin)
    problem = "the account is blocked" if user.is_blocked else ""
    note = "" if passwords and not user.tokens_only else TOKENS_ONLY_NOTE
    return Subject(principal, problem, note)


def current_role(session: Session, username: str, repository: str) -> Role | None:
    """Return the current role in a repository of the user or deploy token with this user name.

    Administrators count as Owner. Return None if there is no role, no such user or deploy
    token, if the user is blocked, or if the token was revoked or has expired.
    """
    subject = find_subject(session, username)
    if subject.problem:
        return None
    if subject.principal.is_admin:
        return Role.OWNER
    return path_access(session, subject.principal, repository).role


def unknown_subject(username: str) -> Subject:
    """Return a subject whose ``problem`` says that no user or deploy token has this name."""
    kind = "deploy token" if "+" in username else "user"
    problem = f"there is no {kind} “{username[:150]}”"
    return Subject(Principal(username=username[:150], home=""), problem)


def _find_deploy_token(session: Session, username: str) -> Subject:
    query = select(DeployToken, Place.path).join(Place, Place.id == DeployToken.place_id)
    row = session.execute(query.where(DeployToken.username == username)).first()
    if row is None:
        return unknown_subject(username)
    token, home = row
    principal = Principal(
        username=token.username,
        scopes=frozenset(token.scope_names),
        home=home,
        credential=f"{DEPLOY_TOKEN} “{token.name}”",
    )
    return Subject(principal, _describe_end(DEPLOY_TOKEN, token))


def subject_with_token(session: Session, owner: Principal, token_id: int) -> Subject:
    """Return a user as a subject that signs in with one of their access tokens.

    Raises:
        NotFound: there is no such token, or it belongs to another user.
    """
    token = session.get(AccessToken, token_id)
    if token is None or token.user_id != owner.user_id:
        raise NotFound
    principal = Principal(
        owner.user_id,
        owner.username,
        owner.is_admin,
        scopes=frozenset(token.scope_names),
        restriction=PathRestriction(token.restriction_path, token.restriction_exact)
        if token.restriction_path
        else None,
        credential=f"{ACCESS_TOKEN} “{token.name}”",
        token_id=token.id,
    )
    return Subject(principal, _describe_end(ACCESS_TOKEN, token))


def _describe_end(kind: str, token: AccessToken | DeployToken) -> str:
    if token.is_active:
        return ""
    return f"the {kind} “{token.name}” {'was revoked' if token.revoked_at else 'has expired'}"
