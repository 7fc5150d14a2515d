"""Database updates for copied tags, because no registry event causes them.

The registry also sends events for this application's own calls, but these events are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import owning_project
from ..audit import Actor, record
from ..catalog.images import count_tags, ensure_image
from ..catalog.push_log import PushedTag, record_push
from ..catalog.tag_history import record_tag_push
from ..db.prepared import insert_if_absent
from ..models import Tag, utc_now


@dataclass(frozen=True, slots=True)
class TagCopy:
    """A tag that was copied to the target.

    Attributes:
        repository: the target repository.
        tag: the tag in the target repository.
        digest: the digest of the tag.
        source: the reference that the tag was copied from.
    """

    repository: str
    tag: str
    digest: str
    source: str


def record_copied_tag(session: Session, actor: Actor, copy: TagCopy) -> None:
    """Record a copied tag in its database row, the tag history, the push log, and the audit log.

    Must run in the transaction that records the step of the copy as done. Does nothing if no
    project owns the repository.

    Args:
        session: the database session of that transaction.
        actor: the user who requested the copy.
        copy: the copied tag.
    """
    project = owning_project(session, copy.repository)
    if project is None:
        return
    at = utc_now()
    image = ensure_image(session, project, copy.repository)
    image.last_push_at, image.last_pushed_by = at, actor.name
    if image.reconciled_at is None:
        image.reconcile_requested_at = at
    insert_if_absent(session, Tag, image_id=image.id, name=copy.tag, pull_count=0, seen_at=at)
    row = session.scalars(select(Tag).where(Tag.image_id == image.id, Tag.name == copy.tag)).one()
    push = PushedTag(copy.tag, copy.digest, actor.name, at)
    record_tag_push(session, row, push, copy.source)
    push_row = record_push(session, image, push)
    if push_row is not None:
        push_row.source = copy.source
    row.digest, row.pushed_at, row.pushed_by, row.seen_at = copy.digest, at, actor.name, at
    row.mark_readable()
    session.flush()
    count_tags(session, image)
    record(
        session,
        actor,
        "tag.copy",
        f"{copy.repository}:{copy.tag}",
        digest=copy.digest,
        source=copy.source,
    )
