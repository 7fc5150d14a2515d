"""Docker sessions: what ``docker login`` keeps in place of a password.

A refresh token has no end of its own (PROTOCOLS 1.9): it ends by revoking it, by a new
password, by a block, or with the access token that it was got with.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..db.session import db, writing
from ..db.statements import update_count
from ..errors import NotFound
from ..models import DockerSession, User, utc_now
from .secrets import SESSION_PREFIX, new_secret, secret_hash

#: A pipeline that signs in for every build makes one each time; the longest unused of the same
#: credential go. A token must not end the sessions of its owner's password or other tokens.
MAX_SESSIONS = 100
#: One that was not used for so long is forgotten.
UNUSED = timedelta(days=180)


def begin(
    actor: Actor,
    user_id: int,
    username: str,
    service: str,
    client: str,
    access_token_id: int | None = None,
) -> str:
    """Begin a session of a user's client and return its refresh token, which is not stored."""
    secret = new_secret(SESSION_PREFIX)
    now = utc_now()
    with writing() as session:
        query = (
            select(DockerSession.id)
            .where(
                DockerSession.user_id == user_id,
                DockerSession.access_token_id.is_not_distinct_from(access_token_id),
            )
            .order_by(DockerSession.last_used_at.desc(), DockerSession.id.desc())
            .offset(MAX_SESSIONS - 1)
        )
        session.execute(delete(DockerSession).where(DockerSession.id.in_(query)))
        session.add(
            DockerSession(
                user_id=user_id,
                access_token_id=access_token_id,
                secret_hash=secret_hash(secret),
                service=service,
                client=client,
                address=actor.address,
                created_at=now,
                last_used_at=now,
            )
        )
        record(session, actor, "docker_session.begin", username, client=client)
    return secret


def sessions_of(user: User) -> list[DockerSession]:
    """Return a user's docker sessions, the last used first."""
    query = (
        select(DockerSession)
        .where(DockerSession.user_id == user.id)
        .order_by(DockerSession.last_used_at.desc(), DockerSession.id.desc())
    )
    return list(db.session.scalars(query))


def revoke(actor: Actor, user: User, session_id: int) -> None:
    """End one of the user's own docker sessions; raise NotFound for anyone else's."""
    with writing() as session:
        found = session.get(DockerSession, session_id)
        if found is None or found.user_id != user.id:
            raise NotFound
        record(session, actor, "docker_session.revoke", user.username, client=found.client)
        session.delete(found)


def revoke_all(actor: Actor, user: User) -> int:
    """End all docker sessions of a user; return how many there were."""
    with writing() as session:
        count = end_all(session, user)
        record(session, actor, "docker_session.revoke_all", user.username, count=count)
    return count


def end_all(session: Session, user: User) -> int:
    """End every docker session of a user, within a transaction; return how many there were."""
    return update_count(session, delete(DockerSession).where(DockerSession.user_id == user.id))


def forget_unused(session: Session) -> None:
    """End the sessions that nobody has used for long."""
    session.execute(delete(DockerSession).where(DockerSession.last_used_at < utc_now() - UNUSED))
