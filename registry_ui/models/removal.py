"""A removal: its plan, how far it got, and what came of it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, bytewise
from .steps import RemovalStep, StepList
from .work import STATES, Operation, OperationStep


class Removal(Operation, Base):
    """A planned removal of tags, an image or a place, carried out by the worker."""

    __tablename__ = "removals"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('tag', 'tags', 'image', 'project', 'bin', 'retention', 'namespace')",
            name="kind",
        ),
        CheckConstraint(STATES, name="state"),
        Index("ix_removals_state_id", "state", "id"),
        Index("ix_removals_project_id_id", "project_id", "id"),
    )

    #: Kept by path as well: the place itself may be what goes.
    project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    project_path: Mapped[str] = mapped_column(bytewise(255))

    plan: Mapped[list[RemovalStep]] = mapped_column(StepList(RemovalStep), deferred=True)
    lines: Mapped[list[RemovalLine]] = relationship(order_by="RemovalLine.number", viewonly=True)

    @property
    def deed(self) -> str:
        """What the audit calls it."""
        return f"{self.kind}.delete"


class RemovalLine(OperationStep, Base):
    """One step of a removal: what was prepared for it, and what came of it."""

    __tablename__ = "removal_lines"
    __table_args__ = (Index("ix_removal_lines_removal_id_outcome", "removal_id", "outcome"),)

    work_id: Mapped[int] = mapped_column(
        "removal_id", ForeignKey("removals.id", ondelete="CASCADE"), primary_key=True
    )
    #: The digest that was pushed to a tag of 2.8 to delete it: ours, whoever finds it.
    placeholder: Mapped[str | None] = mapped_column(bytewise(150))
