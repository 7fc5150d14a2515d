"""What the index learns of a copied tag, at once: events of our own calls are dropped."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import owning_project
from ..audit import Actor, record
from ..catalog.images import count_tags, ensure_image
from ..catalog.push_log import record_push as keep_push
from ..catalog.tag_history import record_tag_push
from ..db.prepared import insert_if_absent
from ..models import Tag, utc_now


def record_copied_tag(
    session: Session, actor: Actor, repository: str, tag: str, digest: str, source: str
) -> None:
    """Note that a tag was copied: its row, its history, the activity, the audit.

    To be called in the transaction that says that it was done. Nothing is noted of a
    repository that no project owns.

    Args:
        actor: who had it copied.
        repository: where the tag is now.
        source: the reference that it was copied from.
    """
    project = owning_project(session, repository)
    if project is None:
        return
    at = utc_now()
    image = ensure_image(session, project, repository)
    image.last_push_at, image.last_pushed_by = at, actor.name
    if image.reconciled_at is None:
        image.reconcile_wanted = True
    insert_if_absent(session, Tag, image_id=image.id, name=tag, pull_count=0, seen_at=at)
    row = session.scalars(select(Tag).where(Tag.image_id == image.id, Tag.name == tag)).one()
    record_tag_push(session, row, digest, at, actor.name, source)
    push = keep_push(session, image, tag, digest, actor.name, at)
    if push is not None:
        push.source = source
    row.digest, row.pushed_at, row.pushed_by, row.seen_at = digest, at, actor.name, at
    row.mark_readable()
    session.flush()
    count_tags(session, image)
    record(session, actor, "tag.copy", f"{repository}:{tag}", digest=digest, source=source)
