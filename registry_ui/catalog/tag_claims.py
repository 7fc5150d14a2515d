"""Short-lived locks on new tags ("claims"): if two clients push a tag concurrently, one wins.

Before a push, the reverse proxy asks the gate (this application's check of pushes and deletions),
which checks that the tag does not exist. The registry writes the tag some time later. A claim locks
the tag in between, for the bearer token of one push, or for an operation of this application, whose
calls bypass the gate.

The proxy asks the gate after it has received the whole manifest, so a claim needs to last only for
seconds. A client can claim a tag without pushing it. Therefore, a claim can't be extended, and if a
subject's claim blocked other subjects and expired without a push, the others go first. The gate
does not see the content, so a claim covers one push, and a retry must wait a few seconds.
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

#: How long a tag claim lasts. A push that takes longer than that has failed.
CLAIM_DURATION = timedelta(seconds=15)
#: Minimum and maximum age of a tag claim at which it covers one retry with the same bearer token.
#: Before the minimum, the first push may still be in progress, and the gate can't distinguish a
#: retry from a push of different content.
RETRY_FROM, RETRY_UNTIL = timedelta(seconds=5), timedelta(seconds=9)
#: How long a tag claim lasts after the start of a retry: enough for the registry to write the tag.
RETRY_DURATION = timedelta(seconds=5)
#: How long a tag claim is kept after the event of its push arrived. The registry sends the event a
#: moment before the tag can be read (PROTOCOLS 3.2).
SETTLE_DURATION = timedelta(seconds=3)
#: How long a subject must let others claim a tag first, after its own claim of the tag blocked them
#: and expired without a push.
YIELD_DURATION = timedelta(seconds=60)
#: Maximum number of tag claims that one user or deploy token can hold at the same time.
MAX_UNFINISHED = 50


def own_identity(operation: str) -> VerifiedToken:
    """Return the identity under which an operation of this application claims tags.

    Args:
        operation: key of the operation, such as "copy 17". An operation that is resumed with the
            same key can renew its own claims.
    """
    return VerifiedToken(OWN_SUBJECT, operation, {})


def acquire(repository: RepositoryName, tag: TagName, claimant: VerifiedToken) -> str | None:
    """Claim a tag for one push, or renew the claimant's own claim on the tag.

    Returns:
        None on success, or the reason for the refusal. The reason is shown in the client's
        terminal, and needs no escaping in JSON.
    """
    with writing() as session:
        row = _lock_claim(session, repository, tag)
        now = utc_now()  # Read after waiting for the lock, so that concurrent calls are ordered.
        if row is not None and row.until >= now:
            return _renew(row, claimant, now)
        waits = _find_waiting(row, now) if row is not None else {}
        if claimant.subject in waits:
            return f"your last push of tag {tag} did not finish, and others wait: try in a minute"
        if _count_unfinished(session, claimant, now) >= MAX_UNFINISHED:
            return "too many of your pushes are unfinished: try again in 15 seconds"
        values = {
            "subject": claimant.subject,
            "token_id": claimant.token_id[:64],
            "until": now + CLAIM_DURATION,
        }
        if row is None:
            key = {"repository": str(repository), "tag": str(tag)}
            if insert_if_absent(session, TagClaim, **key, **values):
                return None
            # A concurrent call inserted the row first.
            row = _lock_claim(session, repository, tag)
            return _describe_conflict(str(tag)) if row is None else _renew(row, claimant, utc_now())
        row.contested, row.waits = False, waits
        for name, value in values.items():
            setattr(row, name, value)
        return None


def _renew(row: TagClaim, claimant: VerifiedToken, now: datetime) -> str | None:
    if (row.subject, row.token_id) != (claimant.subject, claimant.token_id[:64]):
        row.contested = row.contested or claimant.subject != row.subject
        return _describe_conflict(row.tag)
    if claimant.subject == OWN_SUBJECT:
        row.until = now + CLAIM_DURATION
        return None
    age = now - (row.until - CLAIM_DURATION)
    if age < RETRY_FROM:
        return f"your last push of tag {row.tag} may not have ended: try again in 5 seconds"
    if age > RETRY_UNTIL:
        return f"the last push of tag {row.tag} did not finish: try again in 15 seconds"
    # Shorten the claim, so that it covers no further push.
    row.until = now + RETRY_DURATION
    return None


def _describe_conflict(tag: str) -> str:
    return f"tag {tag} is being pushed by someone else: try again in 15 seconds"


def _find_waiting(row: TagClaim, now: datetime) -> dict[str, float]:
    """Return the subjects that must let others claim the tag first, with the end as Unix time."""
    waits = {subject: end for subject, end in row.waits.items() if end > now.timestamp()}
    end = row.until + YIELD_DURATION
    if row.contested and end > now and row.subject != OWN_SUBJECT:
        waits[row.subject] = end.timestamp()
    return waits


def _count_unfinished(session: Session, claimant: VerifiedToken, now: datetime) -> int:
    if claimant.subject == OWN_SUBJECT:
        return 0
    query = select(func.count()).select_from(TagClaim)
    count = session.scalar(query.where(TagClaim.until > now, TagClaim.subject == claimant.subject))
    return count or 0


def _lock_claim(session: Session, repository: RepositoryName, tag: TagName) -> TagClaim | None:
    query = select(TagClaim).where(_is_claim_on(repository, tag)).with_for_update()
    return session.scalar(query.execution_options(populate_existing=True))


def release(repository: RepositoryName, tag: TagName, claimant: VerifiedToken) -> None:
    """Delete the claimant's claim on a tag, so that others can push the tag at once.

    A claim that was renewed for a retry is kept until it expires, because the first push may still
    be in progress. Nothing happens if the claimant has no claim on the tag.
    """
    is_own = (TagClaim.subject == claimant.subject) & (TagClaim.token_id == claimant.token_id[:64])
    is_first = TagClaim.until > utc_now() + RETRY_DURATION
    with writing() as session:
        session.execute(delete(TagClaim).where(_is_claim_on(repository, tag), is_own, is_first))


def expire_soon(session: Session, repository: str, tag: str) -> None:
    """Let the claim on a tag expire in SETTLE_DURATION, because the event of its push arrived."""
    soon = utc_now() + SETTLE_DURATION
    session.execute(
        update(TagClaim)
        .where(TagClaim.repository == repository, TagClaim.tag == tag, TagClaim.until > soon)
        .values(until=soon, contested=False, waits={})
        .execution_options(synchronize_session=False)
    )


def forget_ended(session: Session) -> None:
    """Delete the expired tag claims."""
    session.execute(
        delete(TagClaim)
        .where(TagClaim.until < utc_now())
        .execution_options(synchronize_session=False)
    )


def _is_claim_on(repository: RepositoryName, tag: TagName) -> ColumnElement[bool]:
    return (TagClaim.repository == str(repository)) & (TagClaim.tag == str(tag))
