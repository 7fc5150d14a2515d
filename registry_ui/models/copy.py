"""Copies of tags to another repository, with their plan, progress, and outcome."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, bytewise
from .steps import CopyStep, StepList
from .work import STATES, Operation, OperationStep


class PlannedCopyData(TypedDict):
    """A tag to copy, as in copies.plan.PlannedCopy; ``there`` is its digest at the target."""

    source_tag: str
    tag: str
    digest: str
    state: str
    there: str
    why: str


class CopyPreview(TypedDict):
    """The part of a copy plan that is stored and shown to users, as JSON values.

    The keys are the attributes of copies.plan.CopyPlan. Plans of earlier versions can lack those
    that are not required.
    """

    kind: str
    source: str
    target: str
    tags: list[PlannedCopyData]
    tags_more: int
    counts: dict[str, int]
    attached: bool
    referrers: list[str]
    referrers_more: int
    new_image: bool
    size: int
    new_size: int
    overwrite: bool
    unread: NotRequired[list[str]]
    notes: list[str]


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
    preview: Mapped[CopyPreview] = mapped_column(JSON, default=dict)
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
