"""Parser for SLSA provenance (how an image was built), versions 0.2 and 1; untrusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .untrusted import member, moment, plain_text, written

MAX_PARAMETERS = 20
PARAMETER_TEXT = 200
#: Metadata key under which BuildKit states the source repository and revision (SLSA 0.2).
_BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"


@dataclass(frozen=True, slots=True)
class Provenance:
    """The statements of a builder about a build; "" or None if it does not state them.

    ``materials`` is the number of inputs of the build. ``parameters`` are (name, value).
    """

    builder: str = ""
    build_type: str = ""
    source: str = ""
    revision: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    materials: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the provenance as a JSON object; from_json() is the inverse."""
        times = {"started_at": written(self.started_at), "finished_at": written(self.finished_at)}
        return {**asdict(self), **times}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Provenance:
        """Return the provenance that to_json() serialized."""
        return cls(
            **{
                **data,
                "started_at": moment(data["started_at"]),
                "finished_at": moment(data["finished_at"]),
                "parameters": tuple((name, value) for name, value in data["parameters"]),
            }
        )


def read_provenance(predicate: Any) -> Provenance:
    """Parse a provenance predicate of either version; never raises because of its content."""
    return _version_1(predicate) if member(predicate, "buildDefinition") else _version_0(predicate)


def _version_0(predicate: Any) -> Provenance:
    source = member(predicate, "invocation", "configSource")
    metadata = member(predicate, "metadata")
    materials = member(predicate, "materials")
    vcs = member(metadata, _BUILDKIT, "vcs")
    return Provenance(
        builder=plain_text(member(predicate, "builder", "id")),
        build_type=plain_text(member(predicate, "buildType")),
        source=_source(member(vcs, "source"), member(source, "uri"), materials),
        revision=_revision(member(vcs, "revision"), member(source, "digest"), materials),
        started_at=moment(member(metadata, "buildStartedOn")),
        finished_at=moment(member(metadata, "buildFinishedOn")),
        parameters=_parameters(member(predicate, "invocation", "parameters")),
        materials=len(materials) if isinstance(materials, list) else 0,
    )


def _version_1(predicate: Any) -> Provenance:
    definition = member(predicate, "buildDefinition")
    details = member(predicate, "runDetails")
    asked = member(definition, "externalParameters")
    source = member(asked, "configSource")
    materials = member(definition, "resolvedDependencies")
    metadata = member(details, "metadata")
    vcs = member(metadata, "buildkit_metadata", "vcs")
    named = member(source, "uri") or member(asked, "workflow", "repository")
    return Provenance(
        builder=plain_text(member(details, "builder", "id")),
        build_type=plain_text(member(definition, "buildType")),
        source=_source(member(vcs, "source"), named, materials),
        revision=_revision(member(vcs, "revision"), member(source, "digest"), materials),
        started_at=moment(member(metadata, "startedOn")),
        finished_at=moment(member(metadata, "finishedOn")),
        parameters=_parameters(member(asked, "request") or member(asked, "workflow")),
        materials=len(materials) if isinstance(materials, list) else 0,
    )


def _source(told: Any, named: Any, materials: Any) -> str:
    """Return the URL of the source repository that was built, or "".

    It comes from BuildKit's version control metadata, else from the parameters of the build, else
    from the first git repository among the materials.
    """
    return next((_address(text) for text in (told, named, _git(materials, "uri")) if text), "")


def _address(value: Any) -> str:
    """Return a URL without git's additions.

    ``git+https://host/path@refs/heads/main#commit`` becomes ``https://host/path``.
    """
    text = plain_text(value).removeprefix("git+").partition("#")[0]
    return re.sub(r"@refs/[^@]*$", "", text)


def _revision(told: Any, digests: Any, materials: Any) -> str:
    if isinstance(told, str):
        return plain_text(told, 200)
    for named in (digests, _git(materials, "digest")):
        for algorithm in ("gitCommit", "sha1", "sha256"):
            if found := plain_text(member(named, algorithm), 200):
                return found
    return ""


def _git(materials: Any, name: str) -> Any:
    """Return one member (``uri`` or ``digest``) of the first material that is a git repository."""
    for item in materials[:200] if isinstance(materials, list) else []:
        if plain_text(member(item, "uri")).startswith(("git+", "git://", "ssh://git@")):
            return member(item, name)
    return None


def _parameters(value: Any) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name, text in _flat(value, "", 0):
        if len(found) == MAX_PARAMETERS:
            break
        found.append((plain_text(name, PARAMETER_TEXT), plain_text(text, PARAMETER_TEXT)))
    return tuple(found)


def _flat(value: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the scalar values of nested objects as (dotted name, text).

    BuildKit's ``args`` and ``root`` objects add no part to the name.
    """
    if isinstance(value, dict) and depth < 4:
        for key, inner in value.items():
            inner_name = name if key in {"args", "root"} else f"{name}.{key}".lstrip(".")
            yield from _flat(inner, inner_name, depth + 1)
    elif isinstance(value, str | int | float) and name:
        yield name, str(value)
