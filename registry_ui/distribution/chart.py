"""Helm chart metadata, parsed from the chart's config blob (Chart.yaml as JSON).

The content is untrusted: texts, lists, and the document itself are limited in size.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .errors import InvalidRegistryResponse
from .strict_json import MAX_PARTS
from .untrusted import TOO_MANY, TooManyParts, count_parts, member, parse_json, plain_text

MAX_ITEMS = 50
_TEXT_FIELDS = {
    "name": "name",
    "version": "version",
    "app_version": "appVersion",
    "description": "description",
    "type": "type",
    "kube_version": "kubeVersion",
    "home": "home",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """The metadata of a Helm chart. Fields that Chart.yaml does not set are empty.

    ``maintainers`` are triples of name, email, and URL; ``dependencies`` are triples of name,
    version, and repository. ``problem`` is the reason why the config blob could not be parsed,
    or "".
    """

    name: str = ""
    version: str = ""
    app_version: str = ""
    description: str = ""
    type: str = ""
    kube_version: str = ""
    home: str = ""
    sources: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    maintainers: tuple[tuple[str, str, str], ...] = ()
    dependencies: tuple[tuple[str, str, str], ...] = ()
    deprecated: bool = False
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the chart as a JSON object; from_json() is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Chart:
        """Return the chart that to_json() serialized."""
        lists = {name: tuple(data[name]) for name in ("sources", "keywords")}
        triples = {
            name: tuple((a, b, c) for a, b, c in data[name])
            for name in ("maintainers", "dependencies")
        }
        return cls(**{**data, **lists, **triples})


def read_chart(body: bytes) -> Chart:
    """Parse the config blob of a Helm chart.

    Returns:
        The metadata. If the blob can't be parsed, all fields except ``problem`` are empty.
    """
    try:
        count_parts(body, MAX_PARTS)
        document = parse_json(body)
    except TooManyParts:
        return Chart(problem=TOO_MANY)
    except InvalidRegistryResponse:
        return Chart(problem="it is not JSON")
    return Chart(
        **{field: plain_text(member(document, key)) for field, key in _TEXT_FIELDS.items()},
        sources=_read_texts(member(document, "sources")),
        keywords=_read_texts(member(document, "keywords")),
        maintainers=_read_triples(member(document, "maintainers"), "name", "email", "url"),
        dependencies=_read_triples(
            member(document, "dependencies"), "name", "version", "repository"
        ),
        deprecated=member(document, "deprecated") is True,
    )


def _read_texts(value: Any) -> tuple[str, ...]:
    items = value[:MAX_ITEMS] if isinstance(value, list) else []
    return tuple(plain_text(item) for item in items if isinstance(item, str))


def _read_triples(value: Any, *names: str) -> tuple[tuple[str, str, str], ...]:
    items = value[:MAX_ITEMS] if isinstance(value, list) else []
    triples = [tuple(plain_text(member(item, name)) for name in names) for item in items]
    return tuple((a, b, c) for a, b, c in triples if a)
