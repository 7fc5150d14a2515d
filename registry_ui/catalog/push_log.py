"""Log of pushes, and daily counts of pushes and pulls.

The rows are written in the transaction that marks a registry event as processed, or that records a
tag copied by this application. So each push and pull counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..models import ContainerImage, DailyCount, Project, Push
from ..names import subject_of


@dataclass(frozen=True, slots=True)
class PushedTag:
    """A push of a tag: the digest, the user, and the time.

    ``actor`` is "" if the event that reported the push names no user.
    """

    tag: str
    digest: str
    actor: str
    at: datetime


def record_push(session: Session, image: ContainerImage, push: PushedTag) -> Push | None:
    """Log a push of a tag and add it to the daily count.

    Returns:
        The new row of the log, or None for a digest tag, such as a signature, which is not logged
        because users don't regard it as a push.
    """
    if subject_of(push.tag) is not None:
        return None
    row = Push(project_id=image.project_id, name=image.name, **asdict(push))
    session.add(row)
    _add_to_daily_count(session, image, _day_from_time(push.at), pushes=1)
    return row


def record_pushes(session: Session, image: ContainerImage, pushes: Iterable[PushedTag]) -> None:
    """Log many tag pushes like record_push(), with one INSERT and two statements per day."""
    rows = [
        {"project_id": image.project_id, "name": image.name, **asdict(push)}
        for push in pushes
        if subject_of(push.tag) is None
    ]
    if not rows:
        return
    session.execute(insert(Push), rows)
    for day, count in Counter(_day_from_time(row["at"]) for row in rows).items():
        _add_to_daily_count(session, image, day, pushes=count)


def record_pull(session: Session, image: ContainerImage, at: datetime) -> None:
    """Add a pull of an image to the count of its day. The user is not recorded."""
    _add_to_daily_count(session, image, _day_from_time(at), pulls=1)


def _day_from_time(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _add_to_daily_count(
    session: Session, image: ContainerImage, day: date, *, pushes: int = 0, pulls: int = 0
) -> None:
    key = {"project_id": image.project_id, "name": image.name, "day": day}
    insert_if_absent(session, DailyCount, **key, pushes=0, pulls=0)
    session.execute(
        update(DailyCount)
        .filter_by(**key)
        .values(pushes=DailyCount.pushes + pushes, pulls=DailyCount.pulls + pulls)
        .execution_options(synchronize_session=False)
    )


def has_pushes(session: Session, project: Project) -> bool:
    """Return whether anything was ever pushed or copied into a project."""
    query = select(Push.id).where(Push.project_id == project.id)
    return session.scalar(query.limit(1)) is not None
