"""Long work that is planned, carried out step by step by the worker, and reported."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import bytewise
from .leased import Stallable

STATES = "state IN ('planned', 'waiting', 'running', 'done', 'failed', 'cancelled')"


class Operation(Stallable):
    """What a removal and a copy have in common: a plan, how far it got, and who is at it.

    ``plan`` is the list of steps and never changes; ``preview`` is what people are shown of
    it. Each step that was carried out leaves a line, so that a worker that died goes on
    behind it. *Planned* work waits to be confirmed.
    """

    kind: Mapped[str] = mapped_column(String(10))
    target: Mapped[str] = mapped_column(bytewise(400))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    #: The steps, which never change: long, and read by the worker alone.
    plan: Mapped[Any]
    preview: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)

    @property
    def is_active(self) -> bool:
        """Whether a worker has it, or will."""
        return self.state in {"waiting", "running"}

    @property
    def deed(self) -> str:
        """What the audit calls it."""
        raise NotImplementedError


class OperationStep:
    """One step of some work: what it was about, and what came of it."""

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(bytewise(400))
    #: None while the step is only prepared.
    outcome: Mapped[str | None] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(Text, default="")
