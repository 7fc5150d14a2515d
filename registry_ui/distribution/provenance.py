"""Parser for SLSA provenance (how an image was built), versions 0.2 and 1. It is untrusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .untrusted import member, moment, plain_text, written

MAX_PARAMETERS = 20
MAX_PARAMETER_TEXT = 200
#: Metadata key under which BuildKit states the source repository and revision (SLSA 0.2).
_BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"


@dataclass(frozen=True, slots=True)
class Provenance:
    """A builder's statements about a build. A field that the builder omits is empty or None.

    ``materials`` is the number of inputs of the build. ``parameters`` are pairs of name and value.
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
    """Parse a provenance predicate of either version. Invalid content raises no exception."""
    return (
        _read_version_1(predicate)
        if member(predicate, "buildDefinition")
        else _read_version_0(predicate)
    )


def _read_version_0(predicate: Any) -> Provenance:
    source = member(predicate, "invocation", "configSource")
    metadata = member(predicate, "metadata")
    materials = member(predicate, "materials")
    vcs = member(metadata, _BUILDKIT, "vcs")
    return Provenance(
        builder=plain_text(member(predicate, "builder", "id")),
        build_type=plain_text(member(predicate, "buildType")),
        source=_find_source(member(vcs, "source"), member(source, "uri"), materials),
        revision=_find_revision(member(vcs, "revision"), member(source, "digest"), materials),
        started_at=moment(member(metadata, "buildStartedOn")),
        finished_at=moment(member(metadata, "buildFinishedOn")),
        parameters=_read_parameters(member(predicate, "invocation", "parameters")),
        materials=len(materials) if isinstance(materials, list) else 0,
    )


def _read_version_1(predicate: Any) -> Provenance:
    definition = member(predicate, "buildDefinition")
    details = member(predicate, "runDetails")
    parameters = member(definition, "externalParameters")
    source = member(parameters, "configSource")
    materials = member(definition, "resolvedDependencies")
    metadata = member(details, "metadata")
    vcs = member(metadata, "buildkit_metadata", "vcs")
    uri = member(source, "uri") or member(parameters, "workflow", "repository")
    return Provenance(
        builder=plain_text(member(details, "builder", "id")),
        build_type=plain_text(member(definition, "buildType")),
        source=_find_source(member(vcs, "source"), uri, materials),
        revision=_find_revision(member(vcs, "revision"), member(source, "digest"), materials),
        started_at=moment(member(metadata, "startedOn")),
        finished_at=moment(member(metadata, "finishedOn")),
        parameters=_read_parameters(
            member(parameters, "request") or member(parameters, "workflow")
        ),
        materials=len(materials) if isinstance(materials, list) else 0,
    )


def _find_source(vcs_source: Any, uri: Any, materials: Any) -> str:
    """Return the URL of the source repository that was built, or "" if it is not stated.

    The URL is taken from BuildKit's version control metadata if present, otherwise from the
    parameters of the build, otherwise from the first Git repository among the materials.
    """
    return next(
        (
            _url_from_git(text)
            for text in (vcs_source, uri, _get_git_member(materials, "uri"))
            if text
        ),
        "",
    )


def _url_from_git(value: Any) -> str:
    """Return a source URL without the prefix ``git+``, the ref, and the commit.

    ``git+https://host/path@refs/heads/main#commit`` becomes ``https://host/path``.
    """
    text = plain_text(value).removeprefix("git+").partition("#")[0]
    return re.sub(r"@refs/[^@]*$", "", text)


def _find_revision(vcs_revision: Any, digests: Any, materials: Any) -> str:
    if isinstance(vcs_revision, str):
        return plain_text(vcs_revision, 200)
    for candidates in (digests, _get_git_member(materials, "digest")):
        for algorithm in ("gitCommit", "sha1", "sha256"):
            if revision := plain_text(member(candidates, algorithm), 200):
                return revision
    return ""


def _get_git_member(materials: Any, name: str) -> Any:
    """Return one member (``uri`` or ``digest``) of the first material that is a Git repository."""
    for item in materials[:200] if isinstance(materials, list) else []:
        if plain_text(member(item, "uri")).startswith(("git+", "git://", "ssh://git@")):
            return member(item, name)
    return None


def _read_parameters(value: Any) -> tuple[tuple[str, str], ...]:
    parameters: list[tuple[str, str]] = []
    for name, text in _flatten(value, "", 0):
        if len(parameters) == MAX_PARAMETERS:
            break
        parameters.append(
            (plain_text(name, MAX_PARAMETER_TEXT), plain_text(text, MAX_PARAMETER_TEXT))
        )
    return tuple(parameters)


def _flatten(value: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the scalar values of nested objects as (dotted name, text).

    BuildKit's ``args`` and ``root`` objects add no part to the name.
    """
    if isinstance(value, dict) and depth < 4:
        for key, item in value.items():
            item_name = name if key in {"args", "root"} else f"{name}.{key}".lstrip(".")
            yield from _flatten(item, item_name, depth + 1)
    elif isinstance(value, str | int | float) and name:
        yield name, str(value)
