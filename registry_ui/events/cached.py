"""Record the tags that clients pull from a pull-through cache, which has no push events."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access.lookup import owning_project
from ..catalog.images import count_tags, ensure_image
from ..catalog.tag_list_update import repoint_tag
from ..db.prepared import insert_if_absent
from ..distribution.notifications import Notification
from ..models import Tag, UnassignedRepository, utc_now


def index_pulled(session: Session, event: Notification, at: datetime) -> bool:
    """Add the image and tag of a pull event to the database, or update the tag's digest.

    If no project owns the repository, only the unassigned repository is recorded.

    Returns:
        Whether the tag is new, or now points to a different manifest.
    """
    if not (event.tag and event.digest):
        return False
    project = owning_project(session, event.repository)
    if project is None:
        insert_if_absent(
            session, UnassignedRepository, path=event.repository, first_seen_at=utc_now()
        )
        return False
    image = ensure_image(session, project, event.repository)
    image.reconciled_at = at
    values = {"image_id": image.id, "name": event.tag}
    is_new = insert_if_absent(
        session, Tag, **values, digest=event.digest, pull_count=0, seen_at=utc_now()
    )
    tag = session.scalars(select(Tag).filter_by(**values)).one()
    is_changed = tag.digest != event.digest and (
        tag.last_pulled_at is None or tag.last_pulled_at < at
    )
    if is_changed:
        repoint_tag(session, tag, event.digest, at)
        tag.seen_at = utc_now()
    session.flush()
    count_tags(session, image)
    return bool(is_new) or is_changed
