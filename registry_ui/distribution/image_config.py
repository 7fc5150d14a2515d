"""Parser for image configurations, whose content is untrusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from .errors import InvalidRegistryResponse
from .manifest import MAX_LAYERS, read_strings
from .strict_json import AMBIGUOUS, is_ambiguous_config, parse_document
from .untrusted import TOO_MANY, TextBudget, TooManyParts, moment, plain_text, written

#: Maximum length of all texts of a configuration together, in characters. Some images repeat
#: the same long text in several places.
MAX_CONFIG_TEXT = 256 * 1024
TOO_LONG = "it is longer than what is shown"
NOT_JSON = "it is not JSON"
NOT_AN_OBJECT = "it is no object"
#: Problems that leave all other fields of the configuration unknown.
UNREADABLE = frozenset({TOO_MANY, NOT_JSON, NOT_AN_OBJECT, AMBIGUOUS})


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One build step from the history of an image.

    ``empty`` is True if the step created no layer. ``created_at`` is None if it is not stated.
    """

    created_at: datetime | None
    created_by: str
    comment: str
    empty: bool


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The fields of an image configuration that the pages show.

    ``problem`` is the reason why the configuration is empty or truncated, or "". ``labels_total``
    also counts labels that exceed the limits and are therefore not in ``labels``.
    """

    os: str = ""
    architecture: str = ""
    variant: str = ""
    author: str = ""
    built_at: datetime | None = None
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    history: tuple[HistoryLine, ...] = ()
    problem: str = ""
    labels_total: int = 0

    @property
    def is_readable(self) -> bool:
        """Whether the configuration was parsed; if not, only ``problem`` is set."""
        return self.problem not in UNREADABLE

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as a JSON object; from_json() is the inverse."""
        lines = [{**asdict(line), "created_at": written(line.created_at)} for line in self.history]
        return {**asdict(self), "built_at": written(self.built_at), "history": lines}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ImageConfig:
        """Return the configuration that to_json() serialized."""
        texts = {name: tuple(data[name]) for name in ("entrypoint", "cmd", "ports", "volumes")}
        pairs = {
            name: tuple((key, value) for key, value in data[name]) for name in ("env", "labels")
        }
        lines = tuple(
            HistoryLine(**{**line, "created_at": moment(line["created_at"])})
            for line in data["history"]
        )
        built_at = moment(data["built_at"])
        return cls(**{**data, **texts, **pairs, "built_at": built_at, "history": lines})

    def made_by(self, layers: int) -> list[str]:
        """Return the build step that created each layer.

        Args:
            layers: number of layers of the image.

        Returns:
            One step per layer; all are "" if the history does not match the number of layers.
        """
        steps = [line.created_by for line in self.history if not line.empty]
        return steps if len(steps) == layers else [""] * layers

    @property
    def platform(self) -> str:
        """The platform of the image as ``os/architecture[/variant]``."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def read_config(body: bytes) -> ImageConfig:
    """Parse an image configuration. Invalid content does not raise an exception.

    Returns:
        The configuration. If it can't be parsed, all fields except ``problem`` are empty.
    """
    try:
        document = parse_document(body)
    except TooManyParts:
        return ImageConfig(problem=TOO_MANY)
    except InvalidRegistryResponse:
        return ImageConfig(problem=NOT_JSON)
    if not isinstance(document, dict):
        return ImageConfig(problem=NOT_AN_OBJECT)
    if is_ambiguous_config(document):
        return ImageConfig(problem=AMBIGUOUS)
    raw_config = document.get("config")
    config: dict[str, Any] = raw_config if isinstance(raw_config, dict) else {}
    budget = TextBudget(MAX_CONFIG_TEXT)
    env = (entry.partition("=") for entry in _read_list(config.get("Env"), budget))
    steps, labels = document.get("history"), config.get("Labels")
    image_config = ImageConfig(
        os=plain_text(document.get("os"))[:50],
        architecture=plain_text(document.get("architecture"))[:50],
        variant=plain_text(document.get("variant"))[:50],
        author=plain_text(document.get("author")),
        built_at=moment(document.get("created")),
        user=plain_text(config.get("User")),
        workdir=plain_text(config.get("WorkingDir")),
        entrypoint=tuple(_read_list(config.get("Entrypoint"), budget)),
        cmd=tuple(_read_list(config.get("Cmd"), budget)),
        env=tuple((name, value) for name, _, value in env),
        ports=tuple(_read_keys(config.get("ExposedPorts"), budget)),
        volumes=tuple(_read_keys(config.get("Volumes"), budget)),
        labels=tuple(sorted(read_strings(labels).items())),
        labels_total=len(labels) if isinstance(labels, dict) else 0,
        history=tuple(_read_history(steps, budget)) if isinstance(steps, list) else (),
    )
    return replace(image_config, problem=TOO_LONG) if budget.is_full else image_config


def _read_history(steps: list[Any], budget: TextBudget) -> list[HistoryLine]:
    return [
        HistoryLine(
            created_at=moment(step.get("created")),
            created_by=budget.text(step.get("created_by")),
            comment=budget.text(step.get("comment")),
            empty=step.get("empty_layer") is True,
        )
        for step in steps[:MAX_LAYERS]
        if isinstance(step, dict)
    ]


def _read_list(value: Any, budget: TextBudget) -> list[str]:
    items = value if isinstance(value, list) else []
    return [budget.text(item) for item in items[:MAX_LAYERS] if isinstance(item, str)]


def _read_keys(value: Any, budget: TextBudget) -> list[str]:
    return (
        sorted(budget.text(key) for key in list(value)[:MAX_LAYERS])
        if isinstance(value, dict)
        else []
    )
