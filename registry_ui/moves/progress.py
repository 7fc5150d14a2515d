"""Stored progress of a move within one repository, so that a new worker can resume the move."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..batches import split_into_batches
from ..db.prepared import insert_all_if_absent
from ..db.session import db, end_read, writing
from ..models import CopiedManifest, CopiedTag, Move, MovedRepository, UnmovedTag
from .lease import MoveLease

#: Number of tags per batch; progress is stored after each batch, so a worker that resumes repeats
#: at most this many.
BATCH_SIZE = 20
#: Number of copied manifests after which their record is written to the database.
RECORD_BATCH_SIZE = 20


def batches(lease: MoveLease, row: MovedRepository, names: list[str]) -> Iterator[list[str]]:
    """Yield batches of the tags that the current phase of a move has not processed yet.

    Progress is stored after each batch.

    Args:
        lease: the lease of the move.
        row: the moved repository.
        names: all tags of the repository, in byte order.
    """
    processed_count = bisect_right(names, row.last_tag)
    for batch in split_into_batches(names[processed_count:], BATCH_SIZE):
        yield batch
        processed_count += len(batch)
        lease.record_progress(row, last_tag=batch[-1], done=processed_count)


def record_tags(lease: MoveLease, row: MovedRepository, tags: Mapping[str, str]) -> None:
    """Record the digests under which tags are about to be pushed to the new path."""
    key = {"move_id": row.move_id, "number": row.number}
    rows = [{**key, "tag": tag, "digest": digest} for tag, digest in tags.items()]
    if rows:
        with writing() as session:
            lease.update(session)
            insert_all_if_absent(session, CopiedTag, rows)


def record_verified(lease: MoveLease, row: MovedRepository, tags: Mapping[str, str]) -> None:
    """Record the digest that each tag has at both paths, for later checks of the old path."""
    is_of_row = (CopiedTag.move_id == row.move_id) & (CopiedTag.number == row.number)
    with writing() as session:
        lease.update(session)
        for digest, names in _group_by_digest(tags).items():
            session.execute(
                update(CopiedTag)
                .where(is_of_row, CopiedTag.tag.in_(names))
                .values(verified=CopiedTag.digest == digest)
                .execution_options(synchronize_session=False)
            )


def _group_by_digest(tags: Mapping[str, str]) -> dict[str, list[str]]:
    tags_by_digest: dict[str, list[str]] = {}
    for tag, digest in tags.items():
        tags_by_digest.setdefault(digest, []).append(tag)
    return tags_by_digest


def copied_as(row: MovedRepository, tags: Iterable[str]) -> set[tuple[str, str]]:
    """Return all (tag, digest) pairs that the move has recorded for the given tags."""
    query = select(CopiedTag.tag, CopiedTag.digest).where(
        CopiedTag.move_id == row.move_id,
        CopiedTag.number == row.number,
        CopiedTag.tag.in_(list(tags)),
    )
    return {(tag, digest) for tag, digest in db.session.execute(query)}


def copied_digests(row: MovedRepository) -> set[str]:
    """Return all digests that the move has copied, or was about to copy, with a tag."""
    query = select(CopiedTag.digest).where(
        CopiedTag.move_id == row.move_id, CopiedTag.number == row.number
    )
    return set(db.session.scalars(query))


def forget_tags(session: Session, move: Move) -> None:
    """Delete the records of a move's copied and unmoved tags, because the move has ended."""
    for model in (CopiedTag, UnmovedTag):
        session.execute(
            delete(model)
            .where(model.move_id == move.id)
            .execution_options(synchronize_session=False)
        )


class CopiedManifests:
    """Persistent record of copied manifests, so that a worker that resumes can skip them.

    Implements the CopyRecord protocol of the copier.
    """

    def __init__(self, lease: MoveLease, row: MovedRepository) -> None:
        self._lease, self._row = lease, row
        self._pending: dict[str, tuple[str, ...]] = {}

    def find(self, digest: str) -> tuple[str, ...] | None:
        """Return the digests of a manifest and of its descendants; None unless it was copied.

        A manifest was copied if add() has recorded it for this repository.
        """
        if digest in self._pending:
            return self._pending[digest]
        query = select(CopiedManifest.manifests).where(
            CopiedManifest.move_id == self._row.move_id,
            CopiedManifest.number == self._row.number,
            CopiedManifest.digest == digest,
        )
        manifests = db.session.scalar(query)
        end_read()
        return None if manifests is None else tuple(manifests)

    def add(self, digest: str, manifests: tuple[str, ...]) -> None:
        """Record a copied manifest with the digests of itself and of its descendants.

        Rows are buffered and written in batches.
        """
        self._pending[digest] = manifests
        if len(self._pending) >= RECORD_BATCH_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write buffered records to the database."""
        key = {"move_id": self._row.move_id, "number": self._row.number}
        rows = [
            {**key, "digest": digest, "manifests": list(manifests)}
            for digest, manifests in self._pending.items()
        ]
        if rows:
            with writing() as session:
                self._lease.update(session)
                insert_all_if_absent(session, CopiedManifest, rows)
        self._pending.clear()

    def clear(self) -> None:
        """Delete all records of the repository: it is fully copied, or the new path lacks parts."""
        self._pending.clear()
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
