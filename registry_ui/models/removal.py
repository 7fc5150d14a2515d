"""Removals of tags, images, projects, and namespaces: the plan, the progress, and the outcome."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import Base, bytewise
from .steps import RemovalStep, StepList
from .work import STATES, Operation, OperationStep


class PlannedTagData(TypedDict):
    """A tag that a plan removes, with its last push and pull (None if unknown) in ISO 8601."""

    reference: str
    pushed_at: str | None
    pushed_by: str | None
    last_pulled_at: str | None


class PolicyDryRun(TypedDict):
    """The retention policy whose dry run a plan is: its ID, and the fingerprint of its rules."""

    id: int
    rules: str


class RemovalPreview(TypedDict):
    """The part of a removal plan that is stored and shown to users, as JSON values.

    The keys are the attributes of removals.plan.RemovalPlan, but ``bin_days`` is its
    ``trash_days``. Plans of earlier versions can lack those that are not required.
    """

    kind: str
    target: str
    removes: list[PlannedTagData]
    removes_more: int
    keeps: list[str]
    keeps_more: int
    referrers: list[str]
    attached_goes: bool
    platforms: list[str]
    refused: list[list[str]]
    manifests: int
    shared: int
    freed: int | None
    bin_days: NotRequired[int]
    method: str
    notes: list[str]
    unread: NotRequired[list[str]]
    despite_rules: NotRequired[bool]
    despite: NotRequired[list[list[str]]]
    overridable: NotRequired[list[str]]
    policy: NotRequired[PolicyDryRun | None]


class Removal(Operation, Base):
    """A planned removal of tags, an image, a project, or a namespace, done by the worker."""

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

    #: Namespace or project. Its path is stored as well, because the removal can delete its row.
    project_id: Mapped[int | None] = mapped_column(ForeignKey("places.id", ondelete="SET NULL"))
    project_path: Mapped[str] = mapped_column(bytewise(255))

    plan: Mapped[list[RemovalStep]] = mapped_column(StepList(RemovalStep), deferred=True)
    preview: Mapped[RemovalPreview] = mapped_column(JSON, default=dict)
    lines: Mapped[list[RemovalLine]] = relationship(order_by="RemovalLine.number", viewonly=True)

    @property
    def audit_action(self) -> str:
        """The name of this operation in the audit log, such as ``tag.delete``."""
        return f"{self.kind}.delete"


class RemovalLine(OperationStep, Base):
    """One step of a removal: its placeholder, if it needs one, and its outcome."""

    __tablename__ = "removal_lines"
    __table_args__ = (Index("ix_removal_lines_removal_id_outcome", "removal_id", "outcome"),)

    work_id: Mapped[int] = mapped_column(
        "removal_id", ForeignKey("removals.id", ondelete="CASCADE"), primary_key=True
    )
    #: Digest of the placeholder manifest that is pushed over a tag to delete it in Distribution
    #: 2.8 (PROTOCOLS 4.3). Stored before the push, so that any later worker recognizes it.
    placeholder: Mapped[str | None] = mapped_column(bytewise(150))
