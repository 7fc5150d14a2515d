"""Apply pull events: count the pulls of an image, and set when each tag was last used.

Clients request an image in three ways (docs/protocols.md, "Found since"): GET by tag (skopeo),
HEAD by tag and then GET by digest (containerd, docker), or only HEAD if they already have the
image. All three count as use of the tag; only a GET counts as a pull.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, case, literal, or_, select, update
from sqlalchemy.orm import Session

from ..catalog.push_log import record_pull
from ..distribution.notifications import Notification
from ..manifests.tag_use import mark_digest_used, mark_tag_used
from ..models import ContainerImage, Tag

#: Reason stored with an applied event of a HEAD request.
CHECKED = "a client checked whether it has the image (HEAD)"
PART = "a part of an image"


def apply_pull(
    session: Session, event: Notification, at: datetime, *, by_old_name: bool = False
) -> tuple[str, str, int | None]:
    """Apply a pull event in a constant number of statements.

    A GET by digest marks every tag as used that points to the digest or to an index that lists
    it. It counts as a pull of the image if a tag points to the digest, and as a pull of that tag
    if it is the only one. The pull of a digest that only an index lists was counted with the
    index.

    Args:
        at: time of the pull.
        by_old_name: the image was pulled by an old name. A tag can point to another manifest
            there, so only tags that point to the digest, or whose index lists it, were used.

    Returns:
        The event's new status, the reason, and the image's id if the index has the image.
    """
    if event.method not in {"GET", "HEAD"}:
        return "dropped", "neither a pull nor a check", None
    image = session.scalar(select(ContainerImage).where(ContainerImage.path == event.repository))
    if image is None:
        return "dropped", "an image that the index does not have", None
    by_digest = by_old_name or not event.tag
    if event.method == "HEAD":
        if by_digest:
            mark_digest_used(session, image.id, event.digest, at)
        else:
            mark_tag_used(session, image.id, event.tag, at)
        return "applied", CHECKED, image.id
    own = [Tag.image_id == image.id]
    own += [Tag.name == event.tag] if event.tag else []
    own += [Tag.digest == event.digest] if by_digest else []
    ids = list(session.scalars(select(Tag.id).where(*own).limit(2)))
    if ids:
        _count(session, ContainerImage, image.id, at)
        record_pull(session, image, at)
    if len(ids) == 1:
        _count(session, Tag, ids[0], at)
    if by_digest:
        mark_digest_used(session, image.id, event.digest, at)
    if ids:
        return "applied", "", image.id
    reason = "by an old name, where its tag stands for something else" if event.tag else PART
    return "dropped", reason, image.id


def _count(session: Session, model: type[ContainerImage | Tag], row_id: int, at: datetime) -> None:
    last = model.last_pulled_at
    is_later: ColumnElement[bool] = or_(last.is_(None), last < at)
    session.execute(
        update(model)
        .where(model.id == row_id)
        .values(
            pull_count=model.pull_count + 1,
            last_pulled_at=case((is_later, literal(at, last.type)), else_=last),
        )
        .execution_options(synchronize_session=False)
    )
