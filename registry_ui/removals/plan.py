"""Removal plan: the preview that people see, and the steps that the worker carries out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self

from ..access import Role
from ..models import PlannedTagData, PolicyDryRun, RemovalPreview, RemovalStep
from ..names import Digest

#: Maximum number of references that a preview names; the rest are only counted.
PREVIEW_LIMIT = 50


@dataclass(frozen=True, slots=True)
class RemovalOptions:
    """Options for a removal of tags, and the role of the user who asks for it.

    Attributes:
        attached: also remove signatures and attestations of the removed images.
        trash_days: number of days that the tags can be restored; 0 to delete them permanently.
        role: role of the user who asks for the removal. None: no protected tag can be deleted.
        despite_rules: remove damaged tags even if they are immutable.
    """

    attached: bool = False
    trash_days: int = 0
    role: Role | None = None
    despite_rules: bool = False


@dataclass(slots=True)
class PlannedTag:
    """A tag that a plan removes, with its last push and pull (None if unknown)."""

    reference: str
    pushed_at: datetime | None = None
    pushed_by: str | None = None
    last_pulled_at: datetime | None = None

    def to_json(self) -> PlannedTagData:
        """Return the tag as a dictionary for JSON, with times in ISO 8601 format."""
        pushed_at, last_pulled_at = self.pushed_at, self.last_pulled_at
        return {
            "reference": self.reference,
            "pushed_at": pushed_at.isoformat() if pushed_at else None,
            "pushed_by": self.pushed_by,
            "last_pulled_at": last_pulled_at.isoformat() if last_pulled_at else None,
        }

    @classmethod
    def from_json(cls, data: PlannedTagData) -> Self:
        """Return the tag that ``to_json()`` wrote."""
        pushed_at, last_pulled_at = data["pushed_at"], data["last_pulled_at"]
        return cls(
            data["reference"],
            datetime.fromisoformat(pushed_at) if pushed_at else None,
            data["pushed_by"],
            datetime.fromisoformat(last_pulled_at) if last_pulled_at else None,
        )


@dataclass(slots=True)
class RemovalPlan:
    """A removal as planned: the preview for people, and the ``steps`` for the worker.

    Attributes:
        kind: kind of the removal, such as ``tag``, ``image``, or ``retention``.
        target: reference or path that is removed.
        steps: steps of the removal; empty in a plan that of_preview() returned.
        removes: the first PREVIEW_LIMIT tags to remove; ``removes_more`` counts the rest.
        keeps: the first PREVIEW_LIMIT tags that stay and share a digest with a removed tag;
            ``keeps_more`` counts the rest.
        referrers: tags that sign or describe a removed image.
        attached_goes: whether the ``referrers`` are removed, too.
        platforms: platforms of a multi-platform image that is removed.
        refused: references that a protection rule keeps, with the reasons.
        manifests: number of manifests that no tag needs afterward.
        shared: number of manifests of removed tags that remaining tags need as well.
        freed: estimate of the bytes that garbage collection will free, or None if unknown.
        trash_days: number of days that the tags stay in the trash; 0 to delete them permanently.
        method: how the registry deletes tags, see deletion_method().
        notes: further sentences for the preview.
        unread: images, tags, and manifests that could not be read and are therefore kept.
        despite_rules: whether damaged tags are removed even if they are immutable.
        despite: references of the immutable tags that are removed because of ``despite_rules``,
            with the rules that are overridden.
        overridable: references that could be removed with ``despite_rules``.
        policy: the policy whose dry run the plan is; None for any other plan.
    """

    #: JSON keys of the fields whose key is not the field name.
    JSON_NAMES: ClassVar = {"trash_days": "bin_days"}

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
    trash_days: int = 0
    method: str = "unknown"
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    despite_rules: bool = False
    despite: list[tuple[str, str]] = field(default_factory=list)
    overridable: list[str] = field(default_factory=list)
    policy: PolicyDryRun | None = None

    @property
    def digest(self) -> str:
        """SHA-256 digest of the steps, which identifies the plan that was previewed."""
        return str(
            Digest.of(json.dumps([step.to_json() for step in self.steps], sort_keys=True).encode())
        )

    @property
    def tag_count(self) -> int:
        """Number of tags that the plan removes."""
        return len(self.removes) + self.removes_more

    @property
    def all_refused(self) -> bool:
        """Whether protection rules keep every requested tag, so that nothing would be removed."""
        return bool(self.refused) and not self.removes and self.kind in {"tag", "image"}

    def name(self, tags: list[PlannedTag]) -> None:
        """Add tags to remove: list them until PREVIEW_LIMIT is reached, and count the rest."""
        count = max(0, PREVIEW_LIMIT - len(self.removes))
        self.removes += tags[:count]
        self.removes_more += len(tags[count:])

    def name_kept(self, tags: list[str]) -> None:
        """Add tags that stay: list them until PREVIEW_LIMIT is reached, and count the rest."""
        count = max(0, PREVIEW_LIMIT - len(self.keeps))
        self.keeps += tags[:count]
        self.keeps_more += len(tags[count:])

    def preview(self) -> RemovalPreview:
        """Return the plan without its steps as data for JSON, to be stored for display."""
        return {
            "removes": [tag.to_json() for tag in self.removes],
            "kind": self.kind,
            "target": self.target,
            "removes_more": self.removes_more,
            "keeps": self.keeps,
            "keeps_more": self.keeps_more,
            "referrers": self.referrers,
            "attached_goes": self.attached_goes,
            "platforms": self.platforms,
            "refused": [list(pair) for pair in self.refused],
            "manifests": self.manifests,
            "shared": self.shared,
            "freed": self.freed,
            "bin_days": self.trash_days,
            "method": self.method,
            "notes": self.notes,
            "unread": self.unread,
            "despite_rules": self.despite_rules,
            "despite": [list(pair) for pair in self.despite],
            "overridable": self.overridable,
            "policy": self.policy,
        }

    @classmethod
    def of_preview(cls, preview: RemovalPreview) -> Self:
        """Return a plan, without steps, from the stored result of preview()."""
        names = (field.name for field in fields(cls) if field.name not in {"steps", "removes"})
        keys = {cls.JSON_NAMES.get(name, name): name for name in names}
        values: dict[str, Any] = {keys[k]: v for k, v in preview.items() if k in keys}
        tags = [PlannedTag.from_json(tag) for tag in preview["removes"]]
        return cls(steps=[], removes=tags, **values)
