"""Operations: work that is planned, carried out step by step by the worker, and reported."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import bytewise
from .leased import Stallable

STATES = "state IN ('planned', 'waiting', 'running', 'done', 'failed', 'cancelled')"


class Operation(Stallable):
    """Base of removals and copies: the plan, its progress, and the worker's lease (leased.py).

    ``plan`` is the list of steps; ``preview`` is the summary of it that users see. Each step
    that was carried out leaves a row, so that a different worker can continue after that step if
    the current worker dies. An operation in the state ``planned`` waits to be confirmed.
    """

    kind: Mapped[str] = mapped_column(String(10))
    target: Mapped[str] = mapped_column(bytewise(400))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    #: List of steps. It never changes, can be long, and is needed only by the worker.
    plan: Mapped[Any]
    #: Each kind of operation has its own type of preview.
    preview: Mapped[Any] = mapped_column(JSON, default=dict)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)

    @property
    def is_active(self) -> bool:
        """Whether a worker carries out the operation, or will do so."""
        return self.state in {"waiting", "running"}

    @property
    def audit_action(self) -> str:
        """The name of this operation in the audit log."""
        raise NotImplementedError


class OperationStep:
    """Base of the steps of an operation: the reference that the step concerns, and the outcome."""

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(bytewise(400))
    #: Result of the step; None while it is only prepared.
    outcome: Mapped[str | None] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(Text, default="")
