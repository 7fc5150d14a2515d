"""Claims of new tags: of two pushes at the same moment, one wins.

Between the question whether a tag is there and the registry's writing it lies the push
itself. A claim holds the tag meanwhile, for the bearer token of one push, or for a deed of
our own, whose calls go past the gate.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, delete, or_, update
from sqlalchemy.orm import Session

from ..extensions import writing
from ..models import TagClaim, utc_now
from ..names import RepositoryName, TagName
from ..storage import insert_new
from ..token_auth.proof import Proven
from ..token_auth.signer import OWN_SUBJECT

#: A push that takes longer between its question and its end has failed.
HELD = timedelta(seconds=60)
#: The event of a push comes a moment before the tag can be read (PROTOCOLS 3.2).
SETTLING = timedelta(seconds=3)


def ourselves(deed: str) -> Proven:
    """Return who claims a tag for a deed of our own; done again, it goes on with its claim."""
    return Proven(OWN_SUBJECT, deed, {})


def take(repository: RepositoryName, tag: TagName, who: Proven) -> bool:
    """Claim a tag, or go on with one's own claim; return False where another push has it."""
    now = utc_now()
    values = {"subject": who.subject, "token_id": who.token_id[:64], "until": now + HELD}
    with writing() as session:
        key = {"repository": str(repository), "tag": str(tag)}
        if insert_new(session, TagClaim, **key, **values):
            return True
        taken = session.execute(
            update(TagClaim)
            .where(_of(repository, tag), or_(TagClaim.until < now, _by(who)))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        return bool(taken.rowcount)  # type: ignore[attr-defined]


def let_go(repository: RepositoryName, tag: TagName, who: Proven) -> None:
    """Give up one's own claim: the push is refused."""
    with writing() as session:
        session.execute(delete(TagClaim).where(_of(repository, tag), _by(who)))


def settle(session: Session, repository: str, tag: str) -> None:
    """End the claim of a push whose event came, as soon as everyone can see the tag."""
    soon = utc_now() + SETTLING
    session.execute(
        update(TagClaim)
        .where(TagClaim.repository == repository, TagClaim.tag == tag, TagClaim.until > soon)
        .values(until=soon)
        .execution_options(synchronize_session=False)
    )


def forget_ended(session: Session) -> None:
    """Delete the claims that have run out."""
    session.execute(
        delete(TagClaim)
        .where(TagClaim.until < utc_now())
        .execution_options(synchronize_session=False)
    )


def _of(repository: RepositoryName, tag: TagName) -> ColumnElement[bool]:
    return (TagClaim.repository == str(repository)) & (TagClaim.tag == str(tag))


def _by(who: Proven) -> ColumnElement[bool]:
    return (TagClaim.subject == who.subject) & (TagClaim.token_id == who.token_id[:64])
