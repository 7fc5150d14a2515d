"""What a push leaves behind for people: the push itself, and the counts of its day.

Written in the transaction that claims the event, or that notes a copied tag, so each
counts once.
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
    """Keep a push of a tag, and return it.

    Signatures and the like are tags too, but no pushes to people: of them nothing is kept.
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
    """A push as an event told it; ``actor`` is "" if it named nobody."""

    tag: str
    digest: str
    actor: str
    at: datetime


def record_pushes(session: Session, image: ContainerImage, pushes: Iterable[PushedTag]) -> None:
    """Keep many pushes of tags, as record_push() keeps one: a few statements for each day."""
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
    """Count a pull of an image. Who pulled is not kept."""
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
