"""A removal as it is planned: what people see of it, and the steps that the worker takes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from ..models import RemovalStep
from ..names import Digest

#: So many references are named in a preview; the rest is counted.
NAMED = 50


@dataclass(slots=True)
class PlannedTag:
    """A tag that goes, and what is known of it."""

    reference: str
    pushed_at: datetime | None = None
    pushed_by: str | None = None
    last_pulled_at: datetime | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return it as JSON can hold it."""
        pushed, pulled = self.pushed_at, self.last_pulled_at
        return {
            "reference": self.reference,
            "pushed_at": pushed.isoformat() if pushed else None,
            "pushed_by": self.pushed_by,
            "last_pulled_at": pulled.isoformat() if pulled else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what ``to_json`` wrote."""
        pushed, pulled = data["pushed_at"], data["last_pulled_at"]
        return cls(
            data["reference"],
            datetime.fromisoformat(pushed) if pushed else None,
            data["pushed_by"],
            datetime.fromisoformat(pulled) if pulled else None,
        )


@dataclass(slots=True)
class RemovalPlan:
    """What a removal will do, for people (the lists) and for the worker (``steps``).

    ``removes`` and ``keeps`` name the first fifty and count the rest. ``manifests`` counts
    those that no tag leads to afterwards, ``shared`` those that kept tags lead to as well;
    ``freed`` is what garbage collection will probably bring back. For ``bin_days`` days the
    tags can be restored; manifests go after that. ``unread`` names what could not be read, and
    therefore stays.

    ``policy`` is that of a dry run: the ``id`` of the retention policy, and the ``rules`` that
    were tried, by their fingerprint.

    With ``despite_rules``, damaged tags go although they are immutable: ``despite`` names them
    and the rules. Without it, ``overridable`` names the tags that could go like that.
    """

    kind: str
    target: str
    steps: list[RemovalStep]
    removes: list[PlannedTag] = field(default_factory=list)
    removes_more: int = 0
    keeps: list[str] = field(default_factory=list)
    keeps_more: int = 0
    referrers: list[str] = field(default_factory=list)
    attached_goes: bool = False
    platforms: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    manifests: int = 0
    shared: int = 0
    freed: int | None = None
    bin_days: int = 0
    method: str = "unknown"
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    despite_rules: bool = False
    despite: list[tuple[str, str]] = field(default_factory=list)
    overridable: list[str] = field(default_factory=list)
    policy: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """The plan's name by its content, so that the deed is the one that was previewed."""
        return str(
            Digest.of(json.dumps([step.to_json() for step in self.steps], sort_keys=True).encode())
        )

    @property
    def tag_count(self) -> int:
        """How many tags go."""
        return len(self.removes) + self.removes_more

    @property
    def all_refused(self) -> bool:
        """Whether rules keep every tag that was asked for, so that nothing goes."""
        return bool(self.refused) and not self.removes and self.kind in {"tag", "image"}

    def name(self, tags: list[PlannedTag]) -> None:
        """Add tags that go: the first by name, the rest by number."""
        room = max(0, NAMED - len(self.removes))
        self.removes += tags[:room]
        self.removes_more += len(tags[room:])

    def name_kept(self, tags: list[str]) -> None:
        """Add tags that stay: the first by name, the rest by number."""
        room = max(0, NAMED - len(self.keeps))
        self.keeps += tags[:room]
        self.keeps_more += len(tags[room:])

    def preview(self) -> dict[str, Any]:
        """Return what is stored for people: everything but the steps."""
        named = [tag.to_json() for tag in self.removes]
        kept = (f.name for f in fields(self) if f.name not in {"steps", "removes"})
        return {"removes": named, **{name: getattr(self, name) for name in kept}}

    @classmethod
    def of_preview(cls, preview: dict[str, Any]) -> Self:
        """Return a stored plan for people; its steps stay in the store."""
        known = {f.name for f in fields(cls)} - {"steps", "removes"}
        tags = [PlannedTag.from_json(tag) for tag in preview["removes"]]
        return cls(steps=[], removes=tags, **{k: v for k, v in preview.items() if k in known})
