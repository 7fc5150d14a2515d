"""Docker sessions: the refresh tokens that ``docker login`` stores instead of a password.

The token endpoint (token_auth/token_request.py) receives the request of a login and begins them.
A refresh token has no expiry date (PROTOCOLS 1.9). It ends when the user revokes it, changes the
password, or is blocked, when the access token that started the session ends, or after
UNUSED_LIFETIME without use.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..access import Principal
from ..audit import Actor, record
from ..db.session import db, writing
from ..db.statements import update_count
from ..errors import NotFound
from ..models import DockerSession, User, utc_now
from .secrets import SESSION_PREFIX, new_secret, secret_hash

#: Maximum number of sessions per user and credential. A pipeline that runs ``docker login`` for
#: every build starts many sessions, so the least recently used ones are deleted. The limit is per
#: credential, so that sign-ins with one token do not end sessions of the user's other credentials.
MAX_SESSIONS = 100
#: How long an unused session is kept.
UNUSED_LIFETIME = timedelta(days=180)


def begin(actor: Actor, principal: Principal, service: str, client: str) -> str:
    """Start a docker session and return its refresh token; only its hash is stored.

    Args:
        principal: the user. ``token_id`` is the access token used to sign in, None for a password.
        service: audience (``aud``) named in the token request; the session is valid only for it.
        client: name of the client program, shown in the list of sessions.
    """
    secret = new_secret(SESSION_PREFIX)
    now = utc_now()
    with writing() as session:
        _delete_least_recently_used(session, principal)
        session.add(
            DockerSession(
                user_id=principal.user_id,
                access_token_id=principal.token_id,
                secret_hash=secret_hash(secret),
                service=service,
                client=client,
                address=actor.address,
                created_at=now,
                last_used_at=now,
            )
        )
        record(session, actor, "docker_session.begin", principal.username, client=client)
    return secret


def _delete_least_recently_used(session: Session, principal: Principal) -> None:
    """Delete sessions of a user and credential so that a new one does not exceed MAX_SESSIONS."""
    query = (
        select(DockerSession.id)
        .where(
            DockerSession.user_id == principal.user_id,
            DockerSession.access_token_id.is_not_distinct_from(principal.token_id),
        )
        .order_by(DockerSession.last_used_at.desc(), DockerSession.id.desc())
        .offset(MAX_SESSIONS - 1)
    )
    session.execute(delete(DockerSession).where(DockerSession.id.in_(query)))


def sessions_of(user: User) -> list[DockerSession]:
    """Return a user's docker sessions, most recently used first."""
    query = (
        select(DockerSession)
        .where(DockerSession.user_id == user.id)
        .order_by(DockerSession.last_used_at.desc(), DockerSession.id.desc())
    )
    return list(db.session.scalars(query))


def revoke(actor: Actor, user: User, session_id: int) -> None:
    """End one of the user's docker sessions; raise NotFound if the user has no such session."""
    with writing() as session:
        docker_session = session.get(DockerSession, session_id)
        if docker_session is None or docker_session.user_id != user.id:
            raise NotFound
        record(session, actor, "docker_session.revoke", user.username, client=docker_session.client)
        session.delete(docker_session)


def revoke_all(actor: Actor, user: User) -> int:
    """End all docker sessions of a user, with an audit entry; return how many there were."""
    with writing() as session:
        count = end_all(session, user)
        record(session, actor, "docker_session.revoke_all", user.username, count=count)
    return count


def end_all(session: Session, user: User) -> int:
    """End all docker sessions of a user in the caller's transaction; return the count."""
    return update_count(session, delete(DockerSession).where(DockerSession.user_id == user.id))


def forget_unused(session: Session) -> None:
    """Delete the sessions that have not been used for UNUSED_LIFETIME."""
    session.execute(
        delete(DockerSession).where(DockerSession.last_used_at < utc_now() - UNUSED_LIFETIME)
    )
