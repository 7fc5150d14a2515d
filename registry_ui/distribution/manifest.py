"""What a manifest says, read without trust into plain facts.

All text is somebody else's and may be hostile: it is kept as text, cut to a length,
and never followed. Sizes that lie are kept within bounds and named as problems.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from ..names import Digest, NameInvalid
from .errors import RegistryNonsense
from .media_types import INDEX_TYPES
from .untrusted import TOO_MANY, Room, TooManyParts, count_parts, moment, plain_text, written
from .wire import parse_json

MAX_LAYERS = 512
MAX_CHILDREN = 64
MAX_ANNOTATIONS = 100
MAX_ANNOTATIONS_TEXT = 32 * 1024
#: All texts of a configuration together: some say the same of themselves in three places.
MAX_CONFIG_TEXT = 256 * 1024
MAX_SIZE = 2**53
#: Members and objects of a body, about. 4 MiB of brackets take seconds to read; ten
#: thousand layers have fewer of them.
MAX_PARTS = 50_000

IMAGE_CONFIG_TYPES = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
READ_CONFIG_TYPES = IMAGE_CONFIG_TYPES | {HELM_CONFIG}
COSIGN_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
#: How cosign wraps what it signs: the envelope of an in-toto statement.
DSSE = "application/vnd.dsse.envelope.v1+json"
TOO_LONG = "it is longer than what is shown"
AMBIGUOUS = "its JSON means one thing to us and another to clients; nothing of it is shown"
#: The fields that the registry's and the clients' code gives a meaning, by what their
#: JSON would take for the same.
_FIELDS = {
    name.casefold(): name
    for line in (
        "schemaVersion mediaType artifactType config layers manifests subject annotations",
        "digest size platform urls data architecture os variant features",
        "author created history rootfs created_by comment empty_layer",
        "User WorkingDir Entrypoint Cmd Env ExposedPorts Volumes Labels",
    )
    for name in line.split()
}
_ANY_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])")
PLACEHOLDER_ANNOTATION = "io.registry-ui.placeholder"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content; "" where it does not say.

    ``platform`` is a label such as ``linux/arm64``, ``attests`` the digest of what an
    attestation speaks of, ``title`` the name of a file, ``predicate_type`` what an
    attestation's layer states.
    """

    digest: str
    media_type: str
    size: int
    platform: str = ""
    attests: str = ""
    title: str = ""
    predicate_type: str = ""

    @property
    def is_attestation(self) -> bool:
        """Buildx marks provenance and SBOM so; it is no platform (PROTOCOLS 4.4)."""
        return bool(self.attests) or self.platform == "unknown/unknown"


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """The facts of one manifest.

    ``kind`` is image, index, chart, signature, attestation, artifact or unknown.
    ``size`` is the bytes of config and layers together, None for an index.
    """

    kind: str
    media_type: str
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    subject: str = ""
    problems: tuple[str, ...] = ()

    @property
    def size(self) -> int | None:
        """Bytes to pull, compressed."""
        if self.kind == "index":
            return None
        total: int = sum(blob.size for blob in self.blobs)
        return min(total, MAX_SIZE)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The layers, and the config."""
        return (*self.layers, *((self.config,) if self.config else ()))

    @property
    def platforms(self) -> tuple[Descriptor, ...]:
        """The children that a client could run: attestations are none."""
        return tuple(child for child in self.children if not child.is_attestation)

    @property
    def first_platform(self) -> str:
        """The digest of the first of them, or ""."""
        return next((child.digest for child in self.platforms), "")

    @property
    def created_at(self) -> datetime | None:
        """When it says that it was made; an image's config says it better."""
        return moment(self.annotations.get("org.opencontainers.image.created"))

    @property
    def wants_config(self) -> bool:
        """Whether the config is that of an image or of a chart, and so worth reading."""
        return self.config is not None and self.config.media_type in READ_CONFIG_TYPES

    def to_json(self) -> dict[str, Any]:
        """Return what from_json() reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ManifestFacts:
        """Rebuild facts from the store."""
        config = data.get("config")
        return cls(
            **{
                **data,
                "config": Descriptor(**config) if config else None,
                "layers": tuple(Descriptor(**layer) for layer in data["layers"]),
                "children": tuple(Descriptor(**child) for child in data["children"]),
                "problems": tuple(data["problems"]),
            }
        )


def read_manifest(media_type: str, body: bytes) -> ManifestFacts:
    """Return the facts of a manifest of any type. Never raises for what the body holds."""
    try:
        document = _parsed(body)
    except TooManyParts:
        return ManifestFacts("unknown", media_type, problems=(TOO_MANY,))
    except RegistryNonsense:
        return ManifestFacts("unknown", media_type, problems=("the manifest is not JSON",))
    if not isinstance(document, dict):
        return ManifestFacts("unknown", media_type, problems=("the manifest is no object",))
    if _ambiguous(body, document):
        return ManifestFacts("unknown", media_type, problems=(AMBIGUOUS,))
    problems: list[str] = []
    declared = plain_text(document.get("mediaType"))
    if declared and declared != media_type:
        problems.append(f"its mediaType says {declared}, the registry {media_type}")
    if "layers" in document and "manifests" in document:
        problems.append("it claims to be both an image and an index")
    is_index = media_type in INDEX_TYPES
    listed = document.get("manifests" if is_index else "layers")
    limit = MAX_CHILDREN if is_index else MAX_LAYERS
    pointers = _descriptors(listed, limit, problems)
    config = None if is_index else _descriptor(document.get("config"), problems)
    artifact_type = plain_text(document.get("artifactType")) or (
        config.media_type if config and config.media_type not in IMAGE_CONFIG_TYPES else ""
    )
    layers = () if is_index else pointers
    subject = document.get("subject")
    return ManifestFacts(
        kind="index" if is_index else _kind(config, layers, document),
        media_type=media_type,
        artifact_type=artifact_type,
        config=config,
        layers=layers,
        children=pointers if is_index else (),
        annotations=_strings(document.get("annotations")),
        subject=_digest(subject.get("digest")) if isinstance(subject, dict) else "",
        problems=tuple(problems),
    )


def every_child(body: bytes) -> list[str]:
    """Return the digests under ``manifests``, all of them, for whoever removes an index."""
    try:
        document = _parsed(body)
    except RegistryNonsense:
        return []
    listed = document.get("manifests") if isinstance(document, dict) else None
    items = listed if isinstance(listed, list) else []
    found = (_digest(item.get("digest")) for item in items if isinstance(item, dict))
    return [digest for digest in found if digest]


def every_digest(body: bytes) -> list[str]:
    """Return whatever in a body looks like a digest: for keeping what it may need.

    However its JSON is read, by us or by a client, nothing that it names is left out.
    """
    text = body.decode("utf-8", "replace").replace("\\u003a", ":").replace("\\u003A", ":")
    return list(dict.fromkeys(_ANY_DIGEST.findall(text)))


def _parsed(body: bytes) -> Any:
    """Parse a body that anyone may have pushed, unless its parts are too many: that is counted."""
    count_parts(body, MAX_PARTS)
    return parse_json(body)


def _ambiguous(body: bytes, document: dict[str, Any]) -> bool:
    """Whether the registry and its clients would read something else than we do.

    They are written in Go, whose JSON ignores the case of keys and lets a later key
    overwrite or extend an earlier one. A body that uses that shows us one image and
    gives the client another.
    """
    try:
        json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return True
    parts = [document, document.get("config"), document.get("subject")]
    for key in ("layers", "manifests", "history"):
        listed = document.get(key)
        parts += listed if isinstance(listed, list) else []
    parts += [part.get("platform") for part in parts if isinstance(part, dict)]
    return any(_misspelt(part) for part in parts)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _misspelt(part: Any) -> bool:
    """Whether a key is one of ours but for its case; two of Docker's own differ only so."""
    return isinstance(part, dict) and any(
        _FIELDS.get(key.casefold(), key) != key for key in part if key not in _FIELDS.values()
    )


def _kind(
    config: Descriptor | None,
    layers: tuple[Descriptor, ...],
    document: dict[str, Any],
) -> str:
    if config is None:
        return "unknown"  # schema 1, or no manifest at all
    types = {layer.media_type for layer in layers}
    if config.media_type == HELM_CONFIG:
        return "chart"
    if COSIGN_LAYER in types or "sigstore.bundle" in plain_text(document.get("artifactType")):
        return "signature"
    if types & {IN_TOTO, DSSE}:
        return "attestation"
    return "image" if config.media_type in IMAGE_CONFIG_TYPES else "artifact"


def _descriptors(value: Any, limit: int, problems: list[str]) -> tuple[Descriptor, ...]:
    if not isinstance(value, list):
        return ()
    if len(value) > limit:
        problems.append(f"only the first {limit} of {len(value)} parts are shown")
    found = (_descriptor(item, problems) for item in value[:limit])
    return tuple(item for item in found if item is not None)


def _descriptor(value: Any, problems: list[str]) -> Descriptor | None:
    if not isinstance(value, dict):
        return None
    digest = _digest(value.get("digest"))
    if not digest:
        problems.append("a part of it has no usable digest")
        return None
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        problems.append(f"the size of {digest[:19]}… can't be true")
        size = 0
    annotations = _strings(value.get("annotations"))
    return Descriptor(
        digest=digest,
        media_type=plain_text(value.get("mediaType"))[:255],
        size=size,
        platform=_platform(value.get("platform")),
        attests=annotations.get("vnd.docker.reference.digest", "")
        if annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        else "",
        title=annotations.get("org.opencontainers.image.title", "")[:255],
        predicate_type=_predicate_type(annotations),
    )


def _predicate_type(annotations: dict[str, str]) -> str:
    """Buildx names it by the first of these, cosign by the second."""
    named = (annotations.get(name, "") for name in ("in-toto.io/predicate-type", "predicateType"))
    return next(filter(None, named), "")[:255]


def _platform(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    parts = (plain_text(value.get(key))[:50] for key in ("os", "architecture", "variant"))
    return "/".join(part for part in parts if part)


def _digest(value: Any) -> str:
    try:
        return str(Digest(value))
    except (NameInvalid, TypeError):
        return ""


def _strings(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    found: dict[str, str] = {}
    room = MAX_ANNOTATIONS_TEXT
    for key, item in list(value.items())[:MAX_ANNOTATIONS]:
        if isinstance(item, str) and len(item) <= room:
            found[plain_text(key)[:255]] = plain_text(item)
            room -= len(item)
    return found


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One step of how an image was made. ``empty`` steps made no layer."""

    created_at: datetime | None
    created_by: str
    comment: str
    empty: bool


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image configuration, as far as people ask for it.

    ``problem`` says why it is empty, or cut.
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

    def to_json(self) -> dict[str, Any]:
        """Return what from_json() reads back."""
        lines = [{**asdict(line), "created_at": written(line.created_at)} for line in self.history]
        return {**asdict(self), "built_at": written(self.built_at), "history": lines}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ImageConfig:
        """Rebuild a configuration from the store."""
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
        """Return the step that made each of so many layers; "" where the history does not fit."""
        steps = [line.created_by for line in self.history if not line.empty]
        return steps if len(steps) == layers else [""] * layers

    @property
    def platform(self) -> str:
        """``os/architecture[/variant]``."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def read_config(body: bytes) -> ImageConfig:
    """Return what an image configuration says; an empty one where it says nothing usable."""
    try:
        document = _parsed(body)
    except TooManyParts:
        return ImageConfig(problem=TOO_MANY)
    except RegistryNonsense:
        return ImageConfig()
    if not isinstance(document, dict) or _ambiguous(body, document):
        return ImageConfig()
    inner = document.get("config")
    config: dict[str, Any] = inner if isinstance(inner, dict) else {}
    room = Room(MAX_CONFIG_TEXT)
    env = (entry.partition("=") for entry in _list(config.get("Env"), room))
    steps = document.get("history")
    found = ImageConfig(
        os=plain_text(document.get("os"))[:50],
        architecture=plain_text(document.get("architecture"))[:50],
        variant=plain_text(document.get("variant"))[:50],
        author=plain_text(document.get("author")),
        built_at=moment(document.get("created")),
        user=plain_text(config.get("User")),
        workdir=plain_text(config.get("WorkingDir")),
        entrypoint=tuple(_list(config.get("Entrypoint"), room)),
        cmd=tuple(_list(config.get("Cmd"), room)),
        env=tuple((name, value) for name, _, value in env),
        ports=tuple(_keys(config.get("ExposedPorts"), room)),
        volumes=tuple(_keys(config.get("Volumes"), room)),
        labels=tuple(sorted(_strings(config.get("Labels")).items())),
        history=tuple(_history(steps, room)) if isinstance(steps, list) else (),
    )
    return replace(found, problem=TOO_LONG) if room.is_full else found


def _history(steps: list[Any], room: Room) -> list[HistoryLine]:
    return [
        HistoryLine(
            created_at=moment(step.get("created")),
            created_by=room.text(step.get("created_by")),
            comment=room.text(step.get("comment")),
            empty=step.get("empty_layer") is True,
        )
        for step in steps[:MAX_LAYERS]
        if isinstance(step, dict)
    ]


def _list(value: Any, room: Room) -> list[str]:
    items = value if isinstance(value, list) else []
    return [room.text(item) for item in items[:MAX_LAYERS] if isinstance(item, str)]


def _keys(value: Any, room: Room) -> list[str]:
    return (
        sorted(room.text(key) for key in list(value)[:MAX_LAYERS])
        if isinstance(value, dict)
        else []
    )
