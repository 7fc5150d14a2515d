"""Steps of removal plans and copy plans, which the database stores as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, Self, TypeVar

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of a plan, about a repository or one of its tags."""

    #: JSON keys of the fields whose key is not the field name.
    JSON_NAMES: ClassVar[dict[str, str]] = {}

    @property
    def reference(self) -> str:
        """The repository, or the tag, that a report names."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON data, without the fields that have their default value."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {
            self.JSON_NAMES.get(field.name, field.name): value
            for field, value in values
            if value != field.default
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the step from the JSON data that to_json() returned."""
        names = {field.name: cls.JSON_NAMES.get(field.name, field.name) for field in fields(cls)}
        return cls(**{field: data[name] for field, name in names.items() if name in data})


@dataclass(frozen=True, slots=True)
class RemovalStep(PlanStep):
    """One step of a removal; ``removals.steps`` has an implementation of each ``kind``."""

    JSON_NAMES: ClassVar = {"kind": "do", "trash_tag": "bin"}

    kind: str
    #: Repository name; path of the namespace or project if the step deletes one.
    repository: str
    tag: str = ""
    digest: str = ""
    #: All tags of an image with their digests, or the names of tags that can't be read.
    tags: dict[str, str] | list[str] | None = None
    #: Digests of the manifests that no tag refers to after the removal; None if not known yet.
    digests: list[str] | None = None
    #: Number of days for which the tag can be restored.
    days: int = 0
    #: Tag under which the trash keeps the manifest for these days.
    trash_tag: str = ""
    #: Why the plan can remove a signature: ``goes``, ``missing``, or ``stays``, explained in
    #: removals/signature_steps.py; "" if nothing has to be checked.
    subject: str = ""
    #: Rules that are ignored for damaged tags, by tag name.
    despite: dict[str, str] | None = None

    @property
    def reference(self) -> str:
        """The repository, or the tag, that a report names."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    @property
    def digest_by_tag(self) -> dict[str, str]:
        """All tags of an image with their digests; empty if the step has none."""
        return self.tags if isinstance(self.tags, dict) else {}

    @property
    def tag_names(self) -> list[str]:
        """The names of all tags that the step concerns."""
        return [self.tag] if self.tag else list(self.tags or ())


@dataclass(frozen=True, slots=True)
class CopyStep(PlanStep):
    """One tag of a copy: its digest at the source, and its name at the target."""

    JSON_NAMES: ClassVar = {"target_digest": "there"}

    source: str
    source_tag: str
    digest: str
    #: Repository that is the target of the copy.
    repository: str
    tag: str
    #: Digest of the target's tag when the copy was planned; empty if there was no such tag.
    target_digest: str

    @property
    def reference(self) -> str:
        """The full reference of the tag at the target."""
        return f"{self.repository}:{self.tag}"


Step = TypeVar("Step", bound=PlanStep)


class StepList(TypeDecorator[list[Step]], Generic[Step]):
    """A column type for lists of steps, stored as JSON."""

    impl = JSON
    cache_ok = True

    def __init__(self, step: type[Step]) -> None:
        super().__init__()
        self.step = step

    def process_bind_param(self, value: Iterable[Step] | None, _dialect: Dialect) -> Any:
        """Return the steps as the JSON data to store."""
        return None if value is None else [step.to_json() for step in value]

    def process_result_value(self, value: Any, _dialect: Dialect) -> list[Step] | None:
        """Return the steps from the stored JSON data."""
        return None if value is None else [self.step.from_json(step) for step in value]
