"""Claims of new tags: of two pushes at the same moment, one wins.

Between the question whether a tag is there and the registry's writing it lies the push
itself. A claim holds the tag meanwhile, for the bearer token of one push, or for a deed of
our own, whose calls go past the gate.

The proxy has the whole manifest when it asks, so a claim lasts for seconds. Anyone can
claim without pushing: so nobody prolongs a claim, and whoever kept others waiting for
nothing lets them go first. The gate sees no content, so a claim is for one push, and a retry
of it waits a few seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from ..audit import OWN_SUBJECT
from ..db.prepared import insert_if_absent
from ..db.session import writing
from ..models import TagClaim, utc_now
from ..names import RepositoryName, TagName
from ..token_auth.verifier import VerifiedToken

#: A push that takes longer between its question and its end has failed.
HELD = timedelta(seconds=15)
#: The age at which a claim covers one more push by its own bearer token. Before that, the first
#: one may still be on its way to the registry, and the gate can't see whether another question
#: is a retry or other content.
RETRY_FROM, RETRY_UNTIL = timedelta(seconds=5), timedelta(seconds=9)
#: What is left of a claim for such a push, to be written before the end.
NEEDED = timedelta(seconds=5)
#: The event of a push comes a moment before the tag can be read (PROTOCOLS 3.2).
SETTLING = timedelta(seconds=3)
#: How long others go first, after a claim that kept them waiting ended without a push.
YIELDING = timedelta(seconds=60)
#: Maximum number of claims of one user or deploy token whose pushes have not ended.
MAX_UNFINISHED = 50


def ourselves(deed: str) -> VerifiedToken:
    """Return who claims a tag for a deed of our own; done again, it goes on with its claim."""
    return VerifiedToken(OWN_SUBJECT, deed, {})


def acquire(repository: RepositoryName, tag: TagName, who: VerifiedToken) -> str | None:
    """Claim a tag, or go on with one's own claim; return why not, or None.

    The words are for a client's terminal, and fit into JSON as they are.
    """
    with writing() as session:
        row = _locked(session, repository, tag)
        now = utc_now()  # of two questions at once, the second one comes later
        if row is not None and row.until >= now:
            return _go_on(row, who, now)
        waits = _waits(row, now) if row is not None else {}
        if who.subject in waits:
            return f"your last push of tag {tag} did not finish, and others wait: try in a minute"
        if _unfinished(session, who, now) >= MAX_UNFINISHED:
            return "too many of your pushes are unfinished: try again in 15 seconds"
        values = {"subject": who.subject, "token_id": who.token_id[:64], "until": now + HELD}
        if row is None:
            key = {"repository": str(repository), "tag": str(tag)}
            if insert_if_absent(session, TagClaim, **key, **values):
                return None
            row = _locked(session, repository, tag)  # of another question at the same moment
            return _busy(str(tag)) if row is None else _go_on(row, who, utc_now())
        row.contested, row.waits = False, waits
        for name, value in values.items():
            setattr(row, name, value)
        return None


def _go_on(row: TagClaim, who: VerifiedToken, now: datetime) -> str | None:
    if (row.subject, row.token_id) != (who.subject, who.token_id[:64]):
        row.contested = row.contested or who.subject != row.subject
        return _busy(row.tag)
    if who.subject == OWN_SUBJECT:
        row.until = now + HELD
        return None
    age = now - (row.until - HELD)
    if age < RETRY_FROM:
        return f"your last push of tag {row.tag} may not have ended: try again in 5 seconds"
    if age > RETRY_UNTIL:
        return f"the last push of tag {row.tag} did not finish: try again in 15 seconds"
    # It ends earlier, so that no further push fits into it.
    row.until = now + NEEDED
    return None


def _busy(tag: str) -> str:
    return f"tag {tag} is being pushed by someone else: try again in 15 seconds"


def _waits(row: TagClaim, now: datetime) -> dict[str, float]:
    """Return until when each subject lets others go first, in seconds since 1970."""
    waits = {subject: end for subject, end in row.waits.items() if end > now.timestamp()}
    end = row.until + YIELDING
    if row.contested and end > now and row.subject != OWN_SUBJECT:
        waits[row.subject] = end.timestamp()
    return waits


def _unfinished(session: Session, who: VerifiedToken, now: datetime) -> int:
    if who.subject == OWN_SUBJECT:
        return 0
    query = select(func.count()).select_from(TagClaim)
    found = session.scalar(query.where(TagClaim.until > now, TagClaim.subject == who.subject))
    return found or 0


def _locked(session: Session, repository: RepositoryName, tag: TagName) -> TagClaim | None:
    query = select(TagClaim).where(_of(repository, tag)).with_for_update()
    return session.scalar(query.execution_options(populate_existing=True))


def release(repository: RepositoryName, tag: TagName, who: VerifiedToken) -> None:
    """Give up one's own claim: the push is refused.

    A claim that was repeated stays until its end, because the first push may still be on its way.
    """
    by = (TagClaim.subject == who.subject) & (TagClaim.token_id == who.token_id[:64])
    is_first = TagClaim.until > utc_now() + NEEDED
    with writing() as session:
        session.execute(delete(TagClaim).where(_of(repository, tag), by, is_first))


def expire_soon(session: Session, repository: str, tag: str) -> None:
    """End the claim of a push whose event came, as soon as everyone can see the tag."""
    soon = utc_now() + SETTLING
    session.execute(
        update(TagClaim)
        .where(TagClaim.repository == repository, TagClaim.tag == tag, TagClaim.until > soon)
        .values(until=soon, contested=False, waits={})
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
