"""Last pull times of tags, derived from pulls by tag and pulls by digest.

A client can pull one platform of a multi-platform image by its digest. The tags that contain this
digest are known only after their OCI indexes have been read. Until then, the pull is stored as a
"waiting pull". In this module, an index is an OCI index.
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

from ..db.keyset import select_in_batches
from ..db.prepared import insert_if_absent
from ..db.session import db, end_read, writing
from ..models import UNLISTED, ContainerImage, IndexChild, Manifest, Tag, WaitingPull
from .parser_version import is_stale_index

#: Maximum number of images whose waiting pulls are deleted in one transaction.
BATCH_SIZE = 50
#: Precision of a last pull time. To save writes, a stored time is updated only if it is older than
#: the new one by more than this.
PRECISION = timedelta(minutes=1)


def mark_tag_used(session: Session, image_id: int, tag: str, at: datetime) -> None:
    """Set the last pull time of one tag, unless the stored time is recent enough (PRECISION)."""
    _update_pull_times(session, image_id, Tag.name == tag, at)


def mark_digest_used(session: Session, image_id: int, digest: str, at: datetime) -> None:
    """Set the last pull time of all those tags of an image that contain a pulled digest.

    A tag contains the digest that it points to, and the digests in its OCI index. The pull is also
    stored as a waiting pull, because tags whose manifests have not been read can contain the
    digest, too. Whether such tags exist is not checked, because that would require a scan of all
    tags of the image.
    """
    if not digest:
        return
    _update_pull_times(session, image_id, Tag.digest.in_(_select_containing(digest)), at)
    if not insert_if_absent(session, WaitingPull, image_id=image_id, digest=digest, at=at):
        is_same_pull = (WaitingPull.image_id == image_id) & (WaitingPull.digest == digest)
        session.execute(
            update(WaitingPull)
            .where(is_same_pull, WaitingPull.at < at - PRECISION)
            .values(at=at)
            .execution_options(synchronize_session=False)
        )


def apply_waiting_pulls(session: Session, digests: Collection[str]) -> None:
    """Set the last pull times of tags that contain digests pulled before the tags were read.

    Args:
        session: the session of the current transaction.
        digests: digests of manifests that have just been read. The waiting pulls of these
            manifests, and of everything that they contain, are applied.
    """
    children = select(IndexChild.child).where(IndexChild.parent.in_(digests))
    grandchildren = select(IndexChild.child).where(IndexChild.parent.in_(children))
    digest = WaitingPull.digest
    _apply(session, or_(digest.in_(digests), digest.in_(children), digest.in_(grandchildren)))


def forget_placed_pulls() -> None:
    """Delete the waiting pulls of images for which the manifests of all tags have been read.

    Waiting pulls are applied once more before they are deleted, because a pull that arrived while
    an OCI index was being read can have missed tags. Each transaction covers a limited number of
    images.
    """
    query = select(WaitingPull.image_id).distinct()
    for rows in select_in_batches(db.session(), query, WaitingPull.image_id, BATCH_SIZE):
        has_unread_tags = exists().where(Tag.image_id == WaitingPull.image_id, _is_unread())
        is_placed = WaitingPull.image_id.in_([image_id for (image_id,) in rows]) & ~has_unread_tags
        with writing() as session:
            _apply(session, is_placed)
            session.execute(
                delete(WaitingPull).where(is_placed).execution_options(synchronize_session=False)
            )
    end_read()


def _apply(session: Session, condition: ColumnElement[bool]) -> None:
    query = select(WaitingPull.image_id, WaitingPull.digest, WaitingPull.at).where(condition)
    pulls = session.execute(query.order_by(WaitingPull.image_id, WaitingPull.digest)).all()
    if pulls:
        ids = {image_id for image_id, _, _ in pulls}
        session.execute(ContainerImage.select_ids_locked(ContainerImage.id.in_(ids))).all()
    for image_id, digest, at in pulls:
        _update_pull_times(session, image_id, Tag.digest.in_(_select_containing(digest)), at)


def waiting_pulls(session: Session, image_id: int) -> dict[str | None, datetime]:
    """Return when content of an image was pulled by digest, for pulls not applied to all tags.

    Retention policies that keep recently pulled tags need these times, so that they do not remove
    a tag only because its manifest has not been read yet.

    Returns:
        The time of the latest waiting pull, by the digest that a tag can point to: a pulled digest,
        or that of an OCI index that contains it. The key None has the latest time of all waiting
        pulls; use it for tags whose manifests have not been read.
    """
    times_by_digest = dict(
        session.execute(
            select(WaitingPull.digest, WaitingPull.at).where(WaitingPull.image_id == image_id)
        ).all()
    )
    if not times_by_digest:
        return {}
    latest: dict[str | None, datetime] = {None: max(times_by_digest.values())}
    latest.update(times_by_digest)
    level: dict[str, datetime] = times_by_digest
    for _ in range(2):  # An index can list other indexes.
        level = _find_parents(session, level)
        for digest, at in level.items():
            latest[digest] = max(at, latest.get(digest, at))
    return latest


def _find_parents(session: Session, children: dict[str, datetime]) -> dict[str, datetime]:
    if not children:
        return {}
    # An index with too many entries to store can contain any of these digests.
    children = {**children, UNLISTED: max(children.values())}
    query = select(IndexChild.child, IndexChild.parent).where(IndexChild.child.in_(children))
    parents: defaultdict[str, list[datetime]] = defaultdict(list)
    for child, parent in session.execute(query):
        parents[parent].append(children[child])
    return {parent: max(times) for parent, times in parents.items()}


def last_use(times: Iterable[datetime | None]) -> datetime | None:
    """Return the latest of the given times, ignoring None; None if there are no times."""
    return max((at for at in times if at is not None), default=None)


def _update_pull_times(
    session: Session, image_id: int, condition: ColumnElement[bool], at: datetime
) -> None:
    is_stale = or_(Tag.last_pulled_at.is_(None), Tag.last_pulled_at < at - PRECISION)
    session.execute(
        update(Tag)
        .where(Tag.image_id == image_id, condition, is_stale)
        .values(last_pulled_at=at)
        .execution_options(synchronize_session=False)
    )


def _select_containing(digest: str) -> Select[str]:
    """Return a query for the digests that a tag can point to if it contains the given digest.

    These are the digest itself, the OCI indexes that can list it, and the indexes that can list
    those indexes.
    """
    parents = select(IndexChild.parent).where(IndexChild.child.in_([digest, UNLISTED]))
    grandparents = select(IndexChild.parent).where(IndexChild.child.in_(parents))
    itself = select(literal(digest, IndexChild.parent.type))
    return select(union_all(itself, parents, grandparents).subquery().c[0])


def _is_unread() -> ColumnElement[bool]:
    """Return the SQL condition for tags whose manifests must still be fetched or parsed.

    Damaged tags do not match, because their manifests can't be read.
    """
    is_read = exists().where(Manifest.digest == Tag.digest, ~is_stale_index())
    return ~is_read & Tag.damage.is_(None)
