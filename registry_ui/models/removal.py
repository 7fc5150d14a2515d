"""A removal: its plan, how far it got, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, UTCDateTime, bytewise, utc_now


class Removal(Base):
    """A planned removal of tags, an image or a place, carried out by the worker.

    ``plan`` is the list of steps and never changes; ``preview`` is what people are shown of
    it. Each step that was carried out leaves a line, so that a worker that died goes on
    behind it. A *planned* removal waits to be confirmed.
    """

    __tablename__ = "removals"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('tag', 'tags', 'image', 'project', 'bin', 'retention', 'namespace')",
            name="kind",
        ),
        CheckConstraint(
            "state IN ('planned', 'waiting', 'running', 'done', 'failed', 'cancelled')",
            name="state",
        ),
        Index("ix_removals_state_id", "state", "id"),
        Index("ix_removals_project_id_id", "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    target: Mapped[str] = mapped_column(bytewise(400))
    #: Kept by path as well: the place itself may be what goes.
    project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    project_path: Mapped[str] = mapped_column(bytewise(255))
    requested_by: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    #: A step for each tag: long, and read by the worker alone.
    plan: Mapped[list[dict[str, Any]]] = mapped_column(JSON, deferred=True)
    preview: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    cancel_wanted: Mapped[bool] = mapped_column(default=False)
    #: Until then the worker that carries it out holds it; a dead one's lease runs out.
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: A random word of that worker: one that comes back late finds another's, and stops.
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    lines: Mapped[list[RemovalLine]] = relationship(order_by="RemovalLine.number", viewonly=True)

    @property
    def is_active(self) -> bool:
        """Whether a worker has it, or will."""
        return self.state in {"waiting", "running"}


class RemovalLine(Base):
    """One step of a removal: what was prepared for it, and what came of it."""

    __tablename__ = "removal_lines"
    __table_args__ = (Index("ix_removal_lines_removal_id_outcome", "removal_id", "outcome"),)

    removal_id: Mapped[int] = mapped_column(
        ForeignKey("removals.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(bytewise(400))
    #: None while the step is only prepared.
    outcome: Mapped[str | None] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(Text, default="")
    #: The digest that was pushed to a tag of 2.8 to delete it: ours, whoever finds it.
    placeholder: Mapped[str | None] = mapped_column(String(150))
