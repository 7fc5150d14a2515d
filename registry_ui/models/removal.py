"""A removal: its plan, how far it got, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, UTCDateTime, bytewise, utc_now


class Removal(Base):
    """A planned removal of a tag, an image or a project, carried out by the worker.

    ``plan`` is the list of steps as the preview showed them; ``report`` holds one line
    for each step that was carried out, so that a worker that died goes on behind it.
    """

    __tablename__ = "removals"
    __table_args__ = (
        CheckConstraint("kind IN ('tag', 'image', 'project')", name="kind"),
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state"),
        Index("ix_removals_state_id", "state", "id"),
        Index("ix_removals_project_id_id", "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    target: Mapped[str] = mapped_column(bytewise(400))
    #: Kept by path as well: the project itself may be what goes.
    project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    project_path: Mapped[str] = mapped_column(bytewise(255))
    requested_by: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    plan: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    report: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    #: Until then the worker that carries it out holds it; a dead one's lease runs out.
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: A random word of that worker: one that comes back late finds another's, and stops.
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
