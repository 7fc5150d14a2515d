"""Apply pull events: count the pulls of an image, and set when each tag was last used.

Clients request an image in three ways (docs/protocols.md, "Found since"): GET by tag (skopeo),
HEAD by tag and then GET by digest (containerd, Docker), or only HEAD if they already have the
image. All three count as use of the tag; only a GET counts as a pull.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, case, literal, or_, select, update
from sqlalchemy.orm import Session

from ..catalog.images import lock_image_of
from ..catalog.push_log import record_pull
from ..distribution.notifications import Notification
from ..manifests.tag_use import mark_digest_used, mark_tag_used
from ..models import ContainerImage, Tag
from .outcome import EventOutcome

#: Reason stored with an applied event of a HEAD request.
CHECKED_REASON = "a client checked whether it has the image (HEAD)"
PART_REASON = "a part of an image"


def apply_pull(
    session: Session, event: Notification, at: datetime, *, by_old_path: bool = False
) -> EventOutcome:
    """Apply a pull event in a constant number of SQL statements.

    A GET by digest marks as used every tag that points to the digest, or to an OCI index that
    lists the digest. The GET counts as a pull of the image if a tag points to the digest, and as
    a pull of that tag if there is only one. If only an OCI index lists the digest, the pull was
    already counted when the client fetched the index.

    Args:
        at: time of the pull.
        by_old_path: whether the image was pulled by an old path. The tags of that name can point
            to different manifests, so the digest alone decides which tags were used.
    """
    if event.method not in {"GET", "HEAD"}:
        return EventOutcome("dropped", "neither a pull nor a check")
    image = lock_image_of(session, event.repository)
    if image is None:
        return EventOutcome("dropped", "an image that the index does not have")
    by_digest = by_old_path or not event.tag
    if event.method == "HEAD":
        _mark_used(session, image, event, at, by_digest=by_digest)
        return EventOutcome("applied", CHECKED_REASON, image.id)
    tag_ids = _find_pulled_tags(session, image, event, by_digest=by_digest)
    if tag_ids:
        _count_pull(session, ContainerImage, image.id, at)
        record_pull(session, image, at)
    if len(tag_ids) == 1:
        _count_pull(session, Tag, tag_ids[0], at)
    if by_digest:
        mark_digest_used(session, image.id, event.digest, at)
    if tag_ids:
        return EventOutcome("applied", image_id=image.id)
    reason = "by an old path, where its tag stands for something else" if event.tag else PART_REASON
    return EventOutcome("dropped", reason, image.id)


def _mark_used(
    session: Session, image: ContainerImage, event: Notification, at: datetime, *, by_digest: bool
) -> None:
    if by_digest:
        mark_digest_used(session, image.id, event.digest, at)
    else:
        mark_tag_used(session, image.id, event.tag, at)


def _find_pulled_tags(
    session: Session, image: ContainerImage, event: Notification, *, by_digest: bool
) -> list[int]:
    """Return the ids of the tags to which a pull event can apply, at most two of them."""
    conditions = [Tag.image_id == image.id]
    conditions += [Tag.name == event.tag] if event.tag else []
    conditions += [Tag.digest == event.digest] if by_digest else []
    return list(session.scalars(select(Tag.id).where(*conditions).limit(2)))


def _count_pull(
    session: Session, model: type[ContainerImage | Tag], row_id: int, at: datetime
) -> None:
    last_pulled_at = model.last_pulled_at
    is_later: ColumnElement[bool] = or_(last_pulled_at.is_(None), last_pulled_at < at)
    session.execute(
        update(model)
        .where(model.id == row_id)
        .values(
            pull_count=model.pull_count + 1,
            last_pulled_at=case((is_later, literal(at, last_pulled_at.type)), else_=last_pulled_at),
        )
        .execution_options(synchronize_session=False)
    )
