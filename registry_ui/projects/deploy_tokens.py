"""Create, list, and revoke deploy tokens, which belong to a project or namespace."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import prefixes
from ..accounts.secrets import DEPLOY_PREFIX, new_secret, secret_hash
from ..accounts.tokens import TokenRequest, validate_token_request
from ..audit import Actor, record
from ..db.session import db, writing
from ..errors import NotFound
from ..models import DeployToken, Place, utc_now


@dataclass(frozen=True, slots=True)
class NewDeployToken:
    """A new deploy token with its secret, which is shown to the user only once."""

    id: int
    username: str
    secret: str = field(repr=False)


def create(actor: Actor, path: str, request: TokenRequest) -> NewDeployToken:
    """Create a deploy token for the namespace or project at ``path``.

    Raises:
        NotFound: there is no such namespace or project.
        Invalid: the name, scopes, or expiry is not valid.
    """
    valid_request = validate_token_request(request)
    username, secret = _make_username(valid_request.name), new_secret(DEPLOY_PREFIX)
    with writing() as session:
        place = session.scalar(select(Place).where(Place.path == path))
        if place is None:
            raise NotFound
        token = DeployToken(
            place_id=place.id,
            name=valid_request.name,
            username=username,
            secret_hash=secret_hash(secret),
            scopes=valid_request.scopes,
            created_by=actor.name,
            expires_at=valid_request.expires_at,
        )
        session.add(token)
        record(
            session,
            actor,
            "deploy_token.create",
            path,
            name=valid_request.name,
            username=username,
            scopes=valid_request.scopes.split(),
        )
    return NewDeployToken(token.id, username, secret)


def revoke(actor: Actor, path: str, token_id: int) -> str:
    """Revoke a deploy token of the namespace or project at ``path``, and return the token's name.

    Raises:
        NotFound: there is no such token, or it belongs to a different namespace or project. Without
            this check, a Maintainer could revoke any token by its ID.
    """
    with writing() as session:
        token = session.scalar(
            select(DeployToken)
            .join(Place, Place.id == DeployToken.place_id)
            .where(DeployToken.id == token_id, Place.path == path)
        )
        if token is None:
            raise NotFound
        _mark_revoked(session, actor, token, path)
        return token.name


def revoke_named(actor: Actor, username: str) -> str:
    """Revoke the deploy token with a username; return the path of its namespace or project.

    Raises:
        NotFound: there is no such token.
    """
    query = select(DeployToken, Place.path).join(Place, Place.id == DeployToken.place_id)
    with writing() as session:
        row = session.execute(query.where(DeployToken.username == username)).first()
        if row is None:
            raise NotFound(f"There is no deploy token “{username[:150]}”.")
        token, path = row
        _mark_revoked(session, actor, token, path)
        return str(path)


def _mark_revoked(session: Session, actor: Actor, token: DeployToken, path: str) -> None:
    if token.revoked_at is None:
        token.revoked_at = utc_now()
        record(
            session,
            actor,
            "deploy_token.revoke",
            path,
            name=token.name,
            username=token.username,
        )


def tokens_of(path: str) -> list[tuple[DeployToken, str]]:
    """Return the deploy tokens that are valid in the namespace or project at ``path``.

    Its own tokens come first, then those inherited from namespaces above; the tokens of each path
    are sorted newest first.

    Returns:
        Each token with the path of the namespace or project it belongs to.
    """
    query = (
        select(DeployToken, Place.path)
        .join(Place, Place.id == DeployToken.place_id)
        .where(Place.path.in_(prefixes(path)))
    )
    rows = [(token, at) for token, at in db.session.execute(query)]
    return sorted(rows, key=lambda entry: (-len(entry[1]), -entry[0].id))


def _make_username(name: str) -> str:
    """Return a username for a token that needs no shell quoting and that no user can have."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"deploy+{slug or 'token'}-{secrets.token_hex(4)}"
