"""Copies of tags to another repository, with their plan, progress, and outcome."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, bytewise
from .steps import CopyStep, StepList
from .work import STATES, Operation, OperationStep


class Copy(Operation, Base):
    """A planned copy of tags to another repository, carried out by the worker.

    ``source`` and ``target`` are repositories. ``project_id`` and ``project_path`` are the
    project of the target, because that is the one that changes.
    """

    __tablename__ = "copies"
    __table_args__ = (
        CheckConstraint("kind IN ('tag', 'tags', 'image')", name="kind"),
        CheckConstraint(STATES, name="state"),
        Index("ix_copies_state_id", "state", "id"),
        Index("ix_copies_project_id_id", "project_id", "id"),
        Index("ix_copies_source_id", "source", "id"),
    )

    source: Mapped[str] = mapped_column(bytewise(255))
    #: Both projects are stored by path, so that the record stays complete if one is deleted.
    source_project: Mapped[str] = mapped_column(bytewise(255))
    project_path: Mapped[str] = mapped_column(bytewise(255))
    project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))

    plan: Mapped[list[CopyStep]] = mapped_column(StepList(CopyStep), deferred=True)
    lines: Mapped[list[CopyLine]] = relationship(order_by="CopyLine.number", viewonly=True)

    @property
    def audit_action(self) -> str:
        """The name of this operation in the audit log."""
        return "copy"


class CopyLine(OperationStep, Base):
    """One step of a copy: the tag, and the outcome."""

    __tablename__ = "copy_lines"
    __table_args__ = (Index("ix_copy_lines_copy_id_outcome", "copy_id", "outcome"),)

    work_id: Mapped[int] = mapped_column(
        "copy_id", ForeignKey("copies.id", ondelete="CASCADE"), primary_key=True
    )
