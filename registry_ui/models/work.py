"""Long work that is planned, carried out step by step by the worker, and reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .base import UTCDateTime, bytewise, utc_now

STATES = "state IN ('planned', 'waiting', 'running', 'done', 'failed', 'cancelled')"


class Work:
    """What a removal and a copy have in common: a plan, how far it got, and who is at it.

    ``plan`` is the list of steps and never changes; ``preview`` is what people are shown of
    it. Each step that was carried out leaves a line, so that a worker that died goes on
    behind it. *Planned* work waits to be confirmed.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    target: Mapped[str] = mapped_column(bytewise(400))
    requested_by: Mapped[str] = mapped_column(bytewise(255))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    #: A step for each tag: long, and read by the worker alone.
    plan: Mapped[list[dict[str, Any]]] = mapped_column(JSON, deferred=True)
    preview: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    cancel_wanted: Mapped[bool] = mapped_column(default=False)
    #: Why it waits, while it does: the registry did not answer.
    problem: Mapped[str] = mapped_column(Text, default="")
    #: Since when it waits for a registry that does not answer; None if it makes progress.
    stalled_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Until then the worker that carries it out holds it; a dead one's lease runs out.
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: A random word of that worker: one that comes back late finds another's, and stops.
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def is_active(self) -> bool:
        """Whether a worker has it, or will."""
        return self.state in {"waiting", "running"}

    @property
    def deed(self) -> str:
        """What the audit calls it."""
        raise NotImplementedError


class WorkLine:
    """One step of some work: what it was about, and what came of it."""

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(bytewise(400))
    #: None while the step is only prepared.
    outcome: Mapped[str | None] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(Text, default="")
