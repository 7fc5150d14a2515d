"""Database records of unassigned repositories: those in the registry that no project owns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from ..batches import split_into_batches
from ..db.prepared import insert_if_absent
from ..db.session import writing
from ..models import UnassignedRepository, utc_now
from .earlier_pushes import LastPush

#: Maximum number of repositories recorded in one transaction.
BATCH_SIZE = 500


def record_unassigned(paths: list[str]) -> None:
    """Store a record for each of these repositories, which no project owns."""
    for batch in split_into_batches(paths, BATCH_SIZE):
        with writing() as session:
            for path in batch:
                insert_if_absent(session, UnassignedRepository, path=path, first_seen_at=utc_now())


def forget_unassigned(paths: set[str], started_at: datetime) -> None:
    """Delete the records of unassigned repositories that the registry no longer has.

    Args:
        paths: paths of the repositories that the registry does not have.
        started_at: when the registry was asked. The record of a repository that was pushed to, or
            first seen, after that time is kept.
    """
    if not paths:
        return
    last_activity = func.coalesce(
        UnassignedRepository.last_push_at, UnassignedRepository.first_seen_at
    )
    with writing() as session:
        for path in sorted(paths):
            session.execute(
                delete(UnassignedRepository).where(
                    UnassignedRepository.path == path, last_activity < started_at
                )
            )


def pop_last_push(session: Session, path: str) -> LastPush:
    """Delete the record of an unassigned repository, and return the last push to the repository.

    The time and author of the result are None if there was no record or no push is known.
    """
    row = session.get(UnassignedRepository, path)
    if row is None:
        return LastPush()
    last_push = LastPush(row.last_push_at, row.pushed_by)
    session.delete(row)
    return last_push
