"""Images and indexes made from nothing: real bytes, right digests, no network.

The same arguments give the same digests on every run; `artifacts` adds
attestations, signatures and charts::

    base = layer({"etc/os-release": "ID=demo"}, "ADD rootfs.tar.gz /")
    app = layer({"srv/app/main.py": "print('hello')"}, "COPY . /srv/app")
    plain = image([base, Step("WORKDIR /srv/app"), app], runtime={"Entrypoint": ["/srv/app"]})
    arm = image([base, app], platform="linux/arm64")
    both = index([plain, arm])
    for manifest in both.walk():     # children first: the order in which a registry wants them
        for blob in manifest.blobs:  # and before each manifest what it names
            ...

Everything has ``media_type``, ``data`` and ``digest``; a manifest also has
``blobs``, ``children``, ``json`` and ``descriptor()``. Formats are those of the
OCI image-spec 1.1 and Docker's "Image Manifest V2, Schema 2".
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

#: What every sample was "built" on, so that digests never change.
BUILT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Family:
    """The four media types of one family of formats; see `OCI` and `DOCKER`."""

    manifest: str
    index: str
    config: str
    layer: str


OCI = Family(
    manifest="application/vnd.oci.image.manifest.v1+json",
    index="application/vnd.oci.image.index.v1+json",
    config="application/vnd.oci.image.config.v1+json",
    layer="application/vnd.oci.image.layer.v1.tar+gzip",
)
DOCKER = Family(
    manifest="application/vnd.docker.distribution.manifest.v2+json",
    index="application/vnd.docker.distribution.manifest.list.v2+json",
    config="application/vnd.docker.container.image.v1+json",
    layer="application/vnd.docker.image.rootfs.diff.tar.gzip",
)


def sha256(data: bytes) -> str:
    """Return the digest of some bytes: ``sha256:…``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    """Return a value as the JSON that goes into the registry, the same on every run."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Blob:
    """Some bytes with a media type; ``annotations`` go into the descriptor that names them."""

    media_type: str
    data: bytes = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def digest(self) -> str:
        """The digest, computed from the bytes."""
        return sha256(self.data)

    def descriptor(self) -> dict[str, Any]:
        """Return the OCI descriptor: media type, digest, size and, where set, annotations."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.data),
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value


@dataclass(frozen=True)
class Platform:
    """``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``linux/amd64`` or ``linux/arm/v7``."""
        return cls(*text.split("/"))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def json(self) -> dict[str, str]:
        """The ``platform`` object of a descriptor, without an empty variant."""
        value = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        return {key: text for key, text in value.items() if text}


UNKNOWN = Platform("unknown", "unknown")


@dataclass(frozen=True)
class Manifest(Blob):
    """A manifest or an index, with all that a registry must hold before it.

    ``annotations`` and ``platform`` belong to the descriptor in a parent index;
    the annotations inside the manifest are in ``json["annotations"]``.
    """

    blobs: tuple[Blob, ...] = field(default=(), repr=False)
    children: tuple[Manifest, ...] = field(default=(), repr=False)
    platform: Platform | None = None

    @cached_property
    def json(self) -> Any:
        """The manifest, parsed."""
        return json.loads(self.data)

    def descriptor(self) -> dict[str, Any]:
        """Return the descriptor, with the platform where there is one."""
        value = super().descriptor()
        if self.platform:
            value["platform"] = self.platform.json
        return value

    def walk(self) -> Iterator[Manifest]:
        """Yield all children, then this: the order in which to push."""
        for child in self.children:
            yield from child.walk()
        yield self


@dataclass(frozen=True)
class Image(Manifest):
    """The manifest of an image that runs on one platform."""

    layers: tuple[Layer, ...] = field(default=(), repr=False)

    @property
    def config(self) -> Any:
        """The image config, parsed."""
        return json.loads(self.blobs[0].data)


@dataclass(frozen=True)
class Layer:
    """A gzipped tar and the digest of the plain tar, which the image config lists."""

    data: bytes = field(repr=False)
    diff_id: str
    created_by: str


@dataclass(frozen=True)
class Step:
    """A line of the history that adds no layer: ``ENV``, ``LABEL``, ``ENTRYPOINT``."""

    created_by: str


def filler(size: int, seed: str) -> bytes:
    """Return ``size`` bytes that do not compress, always the same for one seed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def tar(files: Mapping[str, str | bytes]) -> bytes:
    """Return a plain tar of the files and their folders; names ending in ``.sh`` can be run.

    Owner, times and order are fixed, so that the bytes depend on nothing else.
    """
    folders = {
        "/".join(parts[:depth])
        for parts in (name.split("/") for name in files)
        for depth in range(1, len(parts))
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted({*folders, *files}):
            entry = tarfile.TarInfo(name)
            entry.mtime = int(BUILT.timestamp())
            if name in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
                continue
            content = files[name]
            data = content.encode() if isinstance(content, str) else content
            entry.size, entry.mode = len(data), 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def gzipped(data: bytes) -> bytes:
    """Return gzip data with a fixed header: `gzip.compress` writes another one in each Python."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    body = deflate.compress(data) + deflate.flush()
    return head + body + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def layer(files: Mapping[str, str | bytes], created_by: str = "COPY . /") -> Layer:
    """Return a layer with these files (name without a leading slash -> content)."""
    plain = tar(files)
    return Layer(gzipped(plain), sha256(plain), created_by)


def image(
    steps: Sequence[Layer | Step],
    *,
    family: Family = OCI,
    platform: str = "linux/amd64",
    runtime: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: datetime = BUILT,
) -> Image:
    """Return an image of layers and empty history steps, in order.

    ``runtime`` is the ``config`` object of the image config: Env, Entrypoint, Cmd,
    Labels and so on. ``annotations`` go into the manifest; only `OCI` has them.
    ``created`` is the time of the last step; each earlier one is a second before.
    """
    target = Platform.parse(platform)
    layers = tuple(step for step in steps if isinstance(step, Layer))
    config = {
        "created": rfc3339(created),
        **target.json,
        "config": dict(runtime or {}),
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
        "history": _history(steps, created),
    }
    blobs = (
        Blob(family.config, encode(config)),
        *(Blob(family.layer, each.data) for each in layers),
    )
    if annotations and family is not OCI:
        raise ValueError("Docker manifests have no annotations; put them into Labels.")
    body = manifest_body(family.manifest, blobs, annotations)
    return Image(family.manifest, encode(body), blobs=blobs, platform=target, layers=layers)


def rfc3339(moment: datetime) -> str:
    """Return a moment as image configs write it: UTC, whole seconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _history(steps: Sequence[Layer | Step], created: datetime) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for place, step in enumerate(steps, start=1):
        line: dict[str, Any] = {
            "created": rfc3339(created - timedelta(seconds=len(steps) - place)),
            "created_by": step.created_by,
            "comment": "buildkit.dockerfile.v0",
        }
        if isinstance(step, Step):
            line["empty_layer"] = True
        lines.append(line)
    return lines


def manifest_body(
    media_type: str,
    blobs: Sequence[Blob],
    annotations: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Return a manifest whose config is the first of ``blobs`` and whose layers are the rest.

    ``more`` are further members, such as ``artifactType`` and ``subject``.
    """
    config, *layers = (blob.descriptor() for blob in blobs)
    body: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type, **(more or {})}
    body.update(config=config, layers=layers)
    if annotations:
        body["annotations"] = dict(annotations)
    return body


def index(
    children: Sequence[Manifest],
    *,
    family: Family = OCI,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return an OCI index (or a Docker manifest list) of these manifests, in this order."""
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": family.index,
        "manifests": [child.descriptor() for child in children],
    }
    if annotations:
        body["annotations"] = dict(annotations)
    return Manifest(family.index, encode(body), children=tuple(children))
