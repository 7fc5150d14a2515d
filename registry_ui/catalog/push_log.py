"""Log of pushes, and daily counts of pushes and pulls.

The rows are written in the transaction that claims the event or records a copied tag, so each
push and pull counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from ..db.prepared import insert_if_absent
from ..models import ContainerImage, DailyCount, Push
from ..names import subject_of


def record_push(
    session: Session, image: ContainerImage, tag: str, digest: str, actor: str, at: datetime
) -> Push | None:
    """Log a push of a tag, and return the row.

    Return None for a digest tag, such as a signature: users don't regard it as a push.
    """
    if subject_of(tag) is not None:
        return None
    push = Push(
        project_id=image.project_id, name=image.name, tag=tag, digest=digest, actor=actor, at=at
    )
    session.add(push)
    _count(session, image.project_id, image.name, _day(at), pushes=DailyCount.pushes + 1)
    return push


@dataclass(frozen=True, slots=True)
class PushedTag:
    """A push as an event reported it. ``actor`` is "" if the event names no user."""

    tag: str
    digest: str
    actor: str
    at: datetime


def record_pushes(session: Session, image: ContainerImage, pushes: Iterable[PushedTag]) -> None:
    """Log many pushes of tags like record_push(), with a few statements per day."""
    rows = [
        {"project_id": image.project_id, "name": image.name, **asdict(push)}
        for push in pushes
        if subject_of(push.tag) is None
    ]
    if not rows:
        return
    session.execute(insert(Push), rows)
    for day, count in Counter(_day(row["at"]) for row in rows).items():
        _count(session, image.project_id, image.name, day, pushes=DailyCount.pushes + count)


def record_pull(session: Session, image: ContainerImage, at: datetime) -> None:
    """Count a pull of an image. The user is not recorded."""
    _count(session, image.project_id, image.name, _day(at), pulls=DailyCount.pulls + 1)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _count(session: Session, project_id: int, name: str, day: date, **added: Any) -> None:
    key = {"project_id": project_id, "name": name, "day": day}
    insert_if_absent(session, DailyCount, **key, pushes=0, pulls=0)
    session.execute(
        update(DailyCount)
        .filter_by(**key)
        .values(**added)
        .execution_options(synchronize_session=False)
    )
