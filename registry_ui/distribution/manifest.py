"""Parser for manifests and OCI indexes, whose content is untrusted.

Any text can be hostile, so texts are truncated and URLs in them are never fetched.
Impossible sizes are replaced by 0 and reported as problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from ..names import Digest, NameInvalid
from . import schema1
from .errors import InvalidRegistryResponse
from .media_types import BUILD_CACHE, INDEX_TYPES, MANIFEST_TYPES, OLD_TYPES
from .strict_json import AMBIGUOUS, is_ambiguous_manifest, parse_document
from .untrusted import TOO_MANY, TooManyParts, moment, plain_text

MAX_LAYERS = 512
MAX_CHILDREN = 64
MAX_ANNOTATIONS = 100
MAX_ANNOTATIONS_TEXT = 32 * 1024
MAX_SIZE = 2**53

IMAGE_CONFIG_TYPES = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
READ_CONFIG_TYPES = IMAGE_CONFIG_TYPES | {HELM_CONFIG}
NOTATION = "application/vnd.cncf.notary.signature"
COSIGN_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
#: Media type of the signed envelope (DSSE) in which cosign wraps an in-toto statement.
DSSE = "application/vnd.dsse.envelope.v1+json"
PLACEHOLDER_ANNOTATION = "io.registry-ui.placeholder"
NO_MANIFESTS = "it is an index, but lists no manifests: no client can pull it as an image"
#: Annotation with which the containers/image library marks, in an OCI index, a manifest that has
#: zstd layers.
_ZSTD_ANNOTATION = "io.github.containers.compression.zstd"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An OCI descriptor: a reference to a blob or manifest. Fields that are not set are "".

    ``size`` is in bytes, ``platform`` is a label such as ``linux/arm64``, ``attests`` is the digest
    of the manifest that an attestation is about, ``title`` is a file name, and ``predicate_type``
    is the type of the in-toto predicate in an attestation's layer.
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
        """Whether this index entry is an attestation by buildx, not a platform (PROTOCOLS 4.4)."""
        return bool(self.attests) or self.platform == "unknown/unknown"


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """The parsed content of one manifest.

    ``kind`` is image, index, chart, signature, attestation, artifact, build cache, schema 1, or
    unknown. ``children`` are the manifests that an index lists; entries of an index that are blobs
    are in ``layers``. ``subject`` is the digest of the manifest to which this one refers, or "".
    ``problems`` are messages about invalid content. ``children_total`` and ``annotations_total``
    also count entries beyond the limits. ``built`` is the build time that a schema 1 image states,
    or "".
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
    children_total: int = 0
    annotations_total: int = 0
    built: str = ""

    @property
    def size(self) -> int | None:
        """The compressed size in bytes of config and layers; a repeated blob counts once.

        None for an index, and for schema 1, which does not state sizes.
        """
        if self.kind in {"index", "schema 1"}:
            return None
        total = sum({blob.digest: blob.size for blob in self.blobs}.values())
        return min(total, MAX_SIZE)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The layers, followed by the config if there is one."""
        return (*self.layers, *((self.config,) if self.config else ()))

    @property
    def platforms(self) -> tuple[Descriptor, ...]:
        """The children of an index that a client can run: all except attestations."""
        return tuple(child for child in self.children if not child.is_attestation)

    @property
    def first_platform(self) -> str:
        """The digest of the first platform of an index, or "" if there is none."""
        return next((child.digest for child in self.platforms), "")

    @property
    def created_at(self) -> datetime | None:
        """The creation time that the manifest states, or None. An image's config has precedence."""
        return moment(self.built or self.annotations.get("org.opencontainers.image.created"))

    @property
    def wants_config(self) -> bool:
        """Whether the config can be parsed because it is that of an image or a Helm chart."""
        return self.config is not None and self.config.media_type in READ_CONFIG_TYPES

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object; from_json() is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ManifestFacts:
        """Return the facts that to_json() serialized."""
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
    """Parse a manifest of any type. Invalid content does not raise an exception.

    Args:
        media_type: the media type with which the registry served the manifest.
        body: the manifest, untrusted.

    Returns:
        The facts. If the body can't be parsed, the kind is unknown and ``problems`` says why.
    """
    try:
        document = parse_document(schema1.covered_bytes(media_type, body))
    except TooManyParts:
        return ManifestFacts("unknown", media_type, problems=(TOO_MANY,))
    except InvalidRegistryResponse:
        return ManifestFacts("unknown", media_type, problems=("the manifest is not JSON",))
    if not isinstance(document, dict):
        return ManifestFacts("unknown", media_type, problems=("the manifest is no object",))
    if is_ambiguous_manifest(document):
        return ManifestFacts("unknown", media_type, problems=(AMBIGUOUS,))
    problems: list[str] = []
    declared_type = plain_text(document.get("mediaType"))
    if declared_type and declared_type != media_type:
        problems.append(f"its mediaType says {declared_type}, the registry {media_type}")
    if "layers" in document and "manifests" in document:
        problems.append("it claims to be both an image and an index")
    reader = _READERS.get(media_type, _read_image)
    facts = reader(media_type, document)
    subject = document.get("subject")
    annotations = document.get("annotations")
    return replace(
        facts,
        annotations=read_strings(annotations),
        annotations_total=len(annotations) if isinstance(annotations, dict) else 0,
        subject=read_digest(subject.get("digest")) if isinstance(subject, dict) else "",
        problems=(*problems, *facts.problems),
    )


def _read_index(media_type: str, document: Mapping[str, Any]) -> ManifestFacts:
    """Parse an OCI index; the media type of an entry decides if it is a manifest or a blob.

    BuildKit's older registry cache lists layers and its own config in an index. An entry
    without a media type counts as a blob, which is safe because blobs are never deleted as
    manifests.
    """
    value = document.get("manifests")
    entries = value if isinstance(value, list) else []
    manifests = [entry for entry in entries if is_manifest_entry(entry)]
    blobs = [entry for entry in entries if not is_manifest_entry(entry)]
    children, child_problems = _read_descriptors(manifests, MAX_CHILDREN)
    layers, layer_problems = _read_descriptors(blobs, MAX_LAYERS)
    artifact_type = plain_text(document.get("artifactType"))
    kind = "index"
    if layers and not manifests:
        kind = "build cache" if BUILD_CACHE in {b.media_type for b in layers} else "unknown"
        artifact_type = artifact_type or (BUILD_CACHE if kind == "build cache" else "")
    return ManifestFacts(
        kind=kind,
        media_type=media_type,
        artifact_type=artifact_type,
        layers=layers,
        children=children,
        children_total=len(manifests),
        problems=(
            *child_problems,
            *layer_problems,
            *((NO_MANIFESTS,) if kind == "unknown" else ()),
        ),
    )


def _read_image(media_type: str, document: Mapping[str, Any]) -> ManifestFacts:
    layers, layer_problems = _read_descriptors(document.get("layers"), MAX_LAYERS)
    config, config_problems = _read_descriptor(document.get("config"))
    artifact_type = plain_text(document.get("artifactType")) or (
        config.media_type if config and config.media_type not in IMAGE_CONFIG_TYPES else ""
    )
    return ManifestFacts(
        kind=_detect_kind(config, layers, document),
        media_type=media_type,
        artifact_type=artifact_type,
        config=config,
        layers=layers,
        problems=(*layer_problems, *config_problems),
    )


def _read_schema1(media_type: str, document: Mapping[str, Any]) -> ManifestFacts:
    layers, problems = _read_descriptors(schema1.layers_of(document), MAX_LAYERS)
    return ManifestFacts(
        kind="schema 1",
        media_type=media_type,
        layers=layers,
        built=plain_text(schema1.built_at(document))[:50],
        problems=problems,
    )


_READERS = {
    **dict.fromkeys(INDEX_TYPES, _read_index),
    **dict.fromkeys(OLD_TYPES, _read_schema1),
}


def is_manifest_entry(entry: Any) -> bool:
    """Return whether an entry of an index is a manifest, judged by its media type."""
    media_type = entry.get("mediaType") if isinstance(entry, dict) else None
    return isinstance(media_type, str) and media_type in MANIFEST_TYPES


def _detect_kind(
    config: Descriptor | None,
    layers: tuple[Descriptor, ...],
    document: Mapping[str, Any],
) -> str:
    if config is None:
        return "unknown"  # Every valid image manifest has a config.
    types = {layer.media_type for layer in layers}
    if config.media_type == HELM_CONFIG:
        return "chart"
    if config.media_type == BUILD_CACHE:
        return "build cache"
    artifact_type = plain_text(document.get("artifactType"))
    is_notation = NOTATION in {artifact_type, config.media_type}
    if is_notation or COSIGN_LAYER in types or "sigstore.bundle" in artifact_type:
        return "signature"
    if types & {IN_TOTO, DSSE}:
        return "attestation"
    return "image" if config.media_type in IMAGE_CONFIG_TYPES else "artifact"


def _read_descriptors(value: Any, limit: int) -> tuple[tuple[Descriptor, ...], tuple[str, ...]]:
    """Return the valid descriptors in a list, and messages about invalid ones."""
    if not isinstance(value, list):
        return (), ()
    descriptors: list[Descriptor] = []
    problems: list[str] = []
    if len(value) > limit:
        problems.append(f"only the first {limit} of {len(value)} parts are shown")
    for item in value[:limit]:
        descriptor, item_problems = _read_descriptor(item)
        problems += item_problems
        if descriptor is not None:
            descriptors.append(descriptor)
    return tuple(descriptors), tuple(problems)


def _read_descriptor(value: Any) -> tuple[Descriptor | None, tuple[str, ...]]:
    """Return a descriptor, or None if it is invalid, and messages about invalid content."""
    if not isinstance(value, dict):
        return None, ()
    digest = read_digest(value.get("digest"))
    if not digest:
        return None, ("a part of it has no usable digest",)
    size = value.get("size")
    problems: tuple[str, ...] = ()
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        size, problems = 0, (f"the size of {digest[:19]}… can't be true",)
    annotations = read_strings(value.get("annotations"))
    descriptor = Descriptor(
        digest=digest,
        media_type=plain_text(value.get("mediaType"))[:255],
        size=size,
        platform=_label_platform(value.get("platform"), annotations),
        attests=annotations.get("vnd.docker.reference.digest", "")
        if annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        else "",
        title=annotations.get("org.opencontainers.image.title", "")[:255],
        predicate_type=_read_predicate_type(annotations),
    )
    return descriptor, problems


def _read_predicate_type(annotations: dict[str, str]) -> str:
    """Return the in-toto predicate type from a layer's annotations, or "".

    Buildx uses the first of the two annotation keys, cosign the second.
    """
    types = (annotations.get(name, "") for name in ("in-toto.io/predicate-type", "predicateType"))
    return next(filter(None, types), "")[:255]


def _label_platform(value: Any, annotations: Mapping[str, str]) -> str:
    """Return a label for the platform of an index entry, or "" if it states no platform.

    The label includes the OS version and zstd compression, as in ``windows/amd64 (10.0.17763.1)``,
    because an index can list several entries that differ only in these.
    """
    if not isinstance(value, dict):
        return ""
    parts = (plain_text(value.get(key))[:50] for key in ("os", "architecture", "variant"))
    label = "/".join(part for part in parts if part)
    version = plain_text(value.get("os.version"))[:50]
    compression = "zstd" if annotations.get(_ZSTD_ANNOTATION) == "true" else ""
    details = ", ".join(word for word in (version, compression) if word)
    return f"{label} ({details})" if label and details else label


def read_digest(value: Any) -> str:
    """Return the value if it is a valid digest, or ""."""
    try:
        return str(Digest(value))
    except (NameInvalid, TypeError):
        return ""


def read_strings(value: Any) -> dict[str, str]:
    """Return those members of a JSON object that are strings, up to the size limits."""
    if not isinstance(value, dict):
        return {}
    strings: dict[str, str] = {}
    budget = MAX_ANNOTATIONS_TEXT
    for key, text in list(value.items())[:MAX_ANNOTATIONS]:
        if isinstance(text, str) and len(text) <= budget:
            strings[plain_text(key)[:255]] = plain_text(text)
            budget -= len(text)
    return strings
