"""How far a move is within one repository, kept so that the next worker continues from there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..db.prepared import insert_all_if_absent
from ..db.session import db, end_read, writing
from ..models import CopiedManifest, CopiedTag, Move, MovedRepository, UnmovedTag
from .lease import MoveLease

#: Number of tags that a worker finishes before it says so. A killed worker has its successor
#: look at no more than these again.
BATCH = 20
#: Number of manifests that are copied before the record of them is written.
RECORDED = 20


def batches(lease: MoveLease, row: MovedRepository, names: list[str]) -> Iterator[list[str]]:
    """Yield the tags that this phase has not finished yet; keep how far it is behind each batch.

    Args:
        names: all tags of the repository, in byte order.
    """
    start = bisect_right(names, row.last_tag)
    while batch := list(islice(names, start, start + BATCH)):
        yield batch
        start += len(batch)
        lease.record_progress(row, last_tag=batch[-1], done=start)


def record_tags(lease: MoveLease, row: MovedRepository, tags: Mapping[str, str]) -> None:
    """Keep what tags of the new path are about to be pushed as."""
    key = {"move_id": row.move_id, "number": row.number}
    rows = [{**key, "tag": tag, "digest": digest} for tag, digest in tags.items()]
    if rows:
        with writing() as session:
            lease.update(session)
            insert_all_if_absent(session, CopiedTag, rows)


def record_verified(lease: MoveLease, row: MovedRepository, tags: Mapping[str, str]) -> None:
    """Keep what tags have under both names, for later comparisons of the old one."""
    here = (CopiedTag.move_id == row.move_id) & (CopiedTag.number == row.number)
    with writing() as session:
        lease.update(session)
        for digest, names in _by_digest(tags).items():
            session.execute(
                update(CopiedTag)
                .where(here, CopiedTag.tag.in_(names))
                .values(verified=CopiedTag.digest == digest)
                .execution_options(synchronize_session=False)
            )


def _by_digest(tags: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tag, digest in tags.items():
        found.setdefault(digest, []).append(tag)
    return found


def copied_as(row: MovedRepository, tags: Iterable[str]) -> set[tuple[str, str]]:
    """Return the tags of these that the move has copied, with each digest that it used."""
    query = select(CopiedTag.tag, CopiedTag.digest).where(
        CopiedTag.move_id == row.move_id,
        CopiedTag.number == row.number,
        CopiedTag.tag.in_(list(tags)),
    )
    return {(tag, digest) for tag, digest in db.session.execute(query)}


def copied_digests(row: MovedRepository) -> set[str]:
    """Return every digest that the move has copied under a tag, or was about to."""
    query = select(CopiedTag.digest).where(
        CopiedTag.move_id == row.move_id, CopiedTag.number == row.number
    )
    return set(db.session.scalars(query))


def forget_tags(session: Session, move: Move) -> None:
    """Forget which tags were copied, and which could not be: the move has ended."""
    for model in (CopiedTag, UnmovedTag):
        session.execute(
            delete(model)
            .where(model.move_id == move.id)
            .execution_options(synchronize_session=False)
        )


class CopiedManifests:
    """The record of a copier that outlives its worker."""

    def __init__(self, lease: MoveLease, row: MovedRepository) -> None:
        self._lease, self._row = lease, row
        self._new: dict[str, tuple[str, ...]] = {}

    def find(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a recorded manifest and of everything below it, or None."""
        if digest in self._new:
            return self._new[digest]
        query = select(CopiedManifest.manifests).where(
            CopiedManifest.move_id == self._row.move_id,
            CopiedManifest.number == self._row.number,
            CopiedManifest.digest == digest,
        )
        manifests = db.session.scalar(query)
        end_read()
        return None if manifests is None else tuple(manifests)

    def add(self, digest: str, manifests: tuple[str, ...]) -> None:
        """Record a manifest; written together with others."""
        self._new[digest] = manifests
        if len(self._new) >= RECORDED:
            self.flush()

    def flush(self) -> None:
        """Write what was recorded."""
        key = {"move_id": self._row.move_id, "number": self._row.number}
        rows = [{**key, "digest": d, "manifests": list(m)} for d, m in self._new.items()]
        if rows:
            with writing() as session:
                self._lease.update(session)
                insert_all_if_absent(session, CopiedManifest, rows)
        self._new.clear()

    def clear(self) -> None:
        """Forget everything: the new path lacks something, or needs nothing more."""
        self._new.clear()
        with writing() as session:
            self._lease.update(session)
            session.execute(
                delete(CopiedManifest)
                .where(
                    CopiedManifest.move_id == self._row.move_id,
                    CopiedManifest.number == self._row.number,
                )
                .execution_options(synchronize_session=False)
            )
