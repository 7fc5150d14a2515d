"""When tags were last used, by pulls of the digests that they consist of.

A client pulls the digest of a platform. Which tags consist of it is known once their indexes are
read; a pull that comes earlier waits until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Select,
    delete,
    exists,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..db.session import writing
from ..models import UNLISTED, IndexChild, Manifest, Tag, WaitingPull
from .parser_version import is_stale_index

#: Number of images whose pulls are forgotten in one transaction.
IMAGES = 50
#: Precision of a "last pulled" time: a row that is fresher than this is not written again.
PRECISION = timedelta(minutes=1)


def mark_tag_used(session: Session, image_id: int, tag: str, at: datetime) -> None:
    """Set the last pull of one tag, unless it is known to the minute."""
    _mark(session, image_id, Tag.name == tag, at)


def mark_digest_used(session: Session, image_id: int, digest: str, at: datetime) -> None:
    """Set the last pull of every tag that consists of a digest, unless it is known to the minute.

    The pull is kept as well: tags that were not read yet may consist of the digest, too. Whether
    there are any is not asked here, because that is a look at every tag of the image.
    """
    if not digest:
        return
    _mark(session, image_id, Tag.digest.in_(_consisting_of(digest)), at)
    if not insert_if_absent(session, WaitingPull, image_id=image_id, digest=digest, at=at):
        here = (WaitingPull.image_id == image_id) & (WaitingPull.digest == digest)
        session.execute(
            update(WaitingPull)
            .where(here, WaitingPull.at < at - PRECISION)
            .values(at=at)
            .execution_options(synchronize_session=False)
        )


def apply_waiting_pulls(session: Session, read: Collection[str]) -> None:
    """Set the last pull of tags whose manifests were just read, for pulls that waited for that.

    Args:
        read: digests of these manifests.
    """
    children = select(IndexChild.child).where(IndexChild.parent.in_(read))
    below = select(IndexChild.child).where(IndexChild.parent.in_(children))
    digest = WaitingPull.digest
    _apply(session, or_(digest.in_(read), digest.in_(children), digest.in_(below)))


def forget_placed_pulls() -> None:
    """Forget pulls of images whose tags were all read by now, some images at a time.

    They are applied once more: one that came while an index was being read saw too little.
    """
    last = 0
    while True:
        with writing() as session:
            some = select(WaitingPull.image_id).where(WaitingPull.image_id > last).distinct()
            images = list(session.scalars(some.order_by(WaitingPull.image_id).limit(IMAGES)))
            if not images:
                return
            last = images[-1]
            waits = exists().where(Tag.image_id == WaitingPull.image_id, _is_unread())
            placed = WaitingPull.image_id.in_(images) & ~waits
            _apply(session, placed)
            session.execute(
                delete(WaitingPull).where(placed).execution_options(synchronize_session=False)
            )


def _apply(session: Session, which: ColumnElement[bool]) -> None:
    query = select(WaitingPull.image_id, WaitingPull.digest, WaitingPull.at).where(which)
    for image_id, digest, at in session.execute(query.order_by(WaitingPull.image_id)).all():
        _mark(session, image_id, Tag.digest.in_(_consisting_of(digest)), at)


def waiting_pulls(session: Session, image_id: int) -> dict[str | None, datetime]:
    """Return the last waiting pull of what tags may consist of, by their digest.

    Under None is that of any tag which was not read. A policy that keeps what was pulled must
    not remove a tag because it was read too late.
    """
    pulled = dict(
        session.execute(
            select(WaitingPull.digest, WaitingPull.at).where(WaitingPull.image_id == image_id)
        ).all()
    )
    if not pulled:
        return {}
    found: dict[str | None, datetime] = {None: max(pulled.values())}
    found.update(pulled)
    level: dict[str, datetime] = pulled
    for _ in range(2):  # an index may list indexes
        level = _parents(session, level)
        for digest, at in level.items():
            found[digest] = max(at, found.get(digest, at))
    return found


def _parents(session: Session, children: dict[str, datetime]) -> dict[str, datetime]:
    if not children:
        return {}
    # An index with more entries than are kept may list any of them.
    children = {**children, UNLISTED: max(children.values())}
    query = select(IndexChild.child, IndexChild.parent).where(IndexChild.child.in_(children))
    parents: defaultdict[str, list[datetime]] = defaultdict(list)
    for child, parent in session.execute(query):
        parents[parent].append(children[child])
    return {parent: max(times) for parent, times in parents.items()}


def last_use(times: Iterable[datetime | None]) -> datetime | None:
    """Return the latest of some times that are known."""
    return max((at for at in times if at is not None), default=None)


def _mark(session: Session, image_id: int, which: ColumnElement[bool], at: datetime) -> None:
    is_stale = or_(Tag.last_pulled_at.is_(None), Tag.last_pulled_at < at - PRECISION)
    session.execute(
        update(Tag)
        .where(Tag.image_id == image_id, which, is_stale)
        .values(last_pulled_at=at)
        .execution_options(synchronize_session=False)
    )


def _consisting_of(digest: str) -> Select[str]:
    """Select a digest, the indexes that may list it, and the indexes that list those."""
    parents = select(IndexChild.parent).where(IndexChild.child.in_([digest, UNLISTED]))
    above = select(IndexChild.parent).where(IndexChild.child.in_(parents))
    own = select(literal(digest, IndexChild.parent.type))
    return select(union_all(own, parents, above).subquery().c[0])


def _is_unread() -> ColumnElement[bool]:
    """Match tags whose manifests could be read, and of which not all entries are known."""
    is_read = exists().where(Manifest.digest == Tag.digest, ~is_stale_index())
    return ~is_read & Tag.damage.is_(None)
