"""Apply pull events: how often an image was pulled, and when each tag was last used.

Clients ask for the same image in three ways (docs/protocols.md, "Found since"): GET by tag
(skopeo), HEAD by tag and then GET by digest (containerd, docker), and HEAD alone for an
image that they have already. All three are use; only a GET is counted as a pull.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, case, literal, or_, select, union_all, update
from sqlalchemy.orm import Session

from ..catalog.records import note_pull
from ..distribution.notifications import Notification
from ..models import ContainerImage, IndexChild, Tag

#: Precision of a "last pulled" time: a row that is fresher than this is not written again.
PRECISION = timedelta(minutes=1)
#: The reason stored with an applied HEAD.
CHECKED = "a client checked whether it has the image (HEAD)"


def apply_pull(session: Session, event: Notification, at: datetime) -> tuple[str, str, int | None]:
    """Apply a pull event in a constant number of statements.

    A GET by digest is use of every tag on that digest, and of every tag whose index lists
    it. It counts for the image if a tag has the digest, and for the tag only if no other
    tag has it. A digest that only an index lists was counted with the index.

    Returns:
        The event's new status, the reason, and the image.
    """
    if event.method not in {"GET", "HEAD"}:
        return "dropped", "neither a pull nor a check", None
    image = session.scalar(select(ContainerImage).where(ContainerImage.path == event.repository))
    if image is None:
        return "dropped", "an image that the index does not have", None
    if event.method == "HEAD":
        _mark_used(session, image, event, at)
        return "applied", CHECKED, image.id
    own = Tag.name == event.tag if event.tag else Tag.digest == event.digest
    ids = list(session.scalars(select(Tag.id).where(Tag.image_id == image.id, own).limit(2)))
    if ids:
        _count(session, ContainerImage, image.id, at)
        note_pull(session, image, at)
    if len(ids) == 1:
        _count(session, Tag, ids[0], at)
    if not event.tag:
        _mark_used(session, image, event, at)
    return ("applied", "", image.id) if ids else ("dropped", "a part of an image", image.id)


def _mark_used(session: Session, image: ContainerImage, event: Notification, at: datetime) -> None:
    """Set the last pull of the tags that an event is about, unless it is known to the minute."""
    which = Tag.name == event.tag if event.tag else Tag.digest.in_(_using(event.digest))
    is_stale = or_(Tag.last_pulled_at.is_(None), Tag.last_pulled_at < at - PRECISION)
    session.execute(
        update(Tag)
        .where(Tag.image_id == image.id, which, is_stale)
        .values(last_pulled_at=at)
        .execution_options(synchronize_session=False)
    )


def _using(digest: str) -> Select[tuple[str]]:
    """Select a digest, the indexes that list it, and the indexes that list those."""
    parents = select(IndexChild.parent).where(IndexChild.child == digest)
    above = select(IndexChild.parent).where(IndexChild.child.in_(parents))
    own = select(literal(digest, IndexChild.parent.type))
    return select(union_all(own, parents, above).subquery().c[0])


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
