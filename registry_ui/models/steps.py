"""The steps of stored plans, as values that the database keeps as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, Self, TypeVar

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator


@dataclass(frozen=True, slots=True)
class PlanStep:
    """What one step is about: a repository, or a tag of it."""

    #: The names that a field has in JSON, where it differs.
    JSON_NAMES: ClassVar[dict[str, str]] = {}

    @property
    def reference(self) -> str:
        """The repository, or the tag, that a report names."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the step as JSON can hold it: without the fields that have their default."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {
            self.JSON_NAMES.get(field.name, field.name): value
            for field, value in values
            if value != field.default
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what to_json() wrote."""
        names = {field.name: cls.JSON_NAMES.get(field.name, field.name) for field in fields(cls)}
        return cls(**{field: data[name] for field, name in names.items() if name in data})


@dataclass(frozen=True, slots=True)
class RemovalStep(PlanStep):
    """One step of a removal, of a kind that has an implementation in ``removals.steps``."""

    JSON_NAMES: ClassVar = {"kind": "do", "trash_tag": "bin"}

    kind: str
    #: A repository; for the removal of a namespace or a project, its path.
    repository: str
    tag: str = ""
    digest: str = ""
    #: The tags of a whole image with their digests, or tags that can't be read.
    tags: dict[str, str] | list[str] | None = None
    #: Manifests to which no tag leads afterward.
    digests: list[str] | None = None
    #: For how many days the tag can be restored.
    days: int = 0
    #: The tag under which the manifest is kept until then.
    trash_tag: str = ""
    #: What the plan relied on to remove a signature: see signature_steps.
    subject: str = ""
    #: The rules that were set aside for damaged tags, by tag.
    despite: dict[str, str] | None = None

    @property
    def reference(self) -> str:
        """The repository, or the tag, that a report names."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    @property
    def digest_by_tag(self) -> dict[str, str]:
        """The tags of a whole image with their digests."""
        return self.tags if isinstance(self.tags, dict) else {}

    @property
    def tag_names(self) -> list[str]:
        """The names of all tags that the step is about."""
        return [self.tag] if self.tag else list(self.tags or ())


@dataclass(frozen=True, slots=True)
class CopyStep(PlanStep):
    """One tag of a copy: what it stands for at the source, and its name at the target."""

    source: str
    source_tag: str
    digest: str
    #: The target.
    repository: str
    tag: str
    #: The digest that the name stood for at the target; empty if there was none.
    there: str

    @property
    def reference(self) -> str:
        """The tag at the target."""
        return f"{self.repository}:{self.tag}"


Step = TypeVar("Step", bound=PlanStep)


class StepList(TypeDecorator[list[Step]], Generic[Step]):
    """A column of steps, kept as JSON."""

    impl = JSON
    cache_ok = True

    def __init__(self, step: type[Step]) -> None:
        super().__init__()
        self.step = step

    def process_bind_param(self, value: Iterable[Step] | None, _dialect: Dialect) -> Any:
        """Return what is stored."""
        return None if value is None else [step.to_json() for step in value]

    def process_result_value(self, value: Any, _dialect: Dialect) -> list[Step] | None:
        """Return the steps that were stored."""
        return None if value is None else [self.step.from_json(step) for step in value]
