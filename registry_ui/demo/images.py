"""Builders of images and OCI indexes in memory: real bytes, correct digests, no network.

The same arguments give the same digests on every run. `artifacts` adds
attestations, signatures, and charts::

    base = layer({"etc/os-release": "ID=demo"}, "ADD rootfs.tar.gz /")
    app = layer({"srv/app/main.py": "print('hello')"}, "COPY . /srv/app")
    plain = image([base, Step("WORKDIR /srv/app"), app], runtime={"Entrypoint": ["/srv/app"]})
    arm = image([base, app], platform="linux/arm64")
    both = index([plain, arm])
    for manifest in both.walk():     # A registry refuses an index before its child manifests.
        for blob in manifest.blobs:  # Push the blobs of a manifest before the manifest.
            ...

Every blob and manifest has ``media_type``, ``data``, ``digest``, and ``descriptor()``;
a manifest also has ``blobs``, ``children``, and ``json``. Formats are those of the
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

#: Build time of every sample. It is fixed, so that the digests never change.
BUILT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Family:
    """The four media types of one image format; see `OCI` and `DOCKER`."""

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
    """Return the digest of the bytes: ``sha256:…``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    """Encode a value as JSON in a fixed format, so that digests are the same on every run."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Blob:
    """Content with a media type; ``annotations`` are those of its descriptor."""

    media_type: str
    data: bytes = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def digest(self) -> str:
        """The digest, computed from the content."""
        return sha256(self.data)

    def descriptor(self) -> dict[str, Any]:
        """Return the OCI descriptor: media type, digest, size, and annotations if any."""
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
    """The platform of an image; ``str()`` gives ``os/architecture[/variant]``."""

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
        """The ``platform`` object for a descriptor; an empty variant is left out."""
        value = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        return {key: text for key, text in value.items() if text}


UNKNOWN = Platform("unknown", "unknown")


@dataclass(frozen=True)
class Manifest(Blob):
    """A manifest or an index, with the blobs and child manifests to push before it.

    ``annotations`` and ``platform`` belong to the descriptor in a parent OCI index;
    the annotations inside the manifest are in ``json["annotations"]``.
    """

    blobs: tuple[Blob, ...] = field(default=(), repr=False)
    children: tuple[Manifest, ...] = field(default=(), repr=False)
    platform: Platform | None = None

    @cached_property
    def json(self) -> Any:
        """The manifest as parsed JSON."""
        return json.loads(self.data)

    def descriptor(self) -> dict[str, Any]:
        """Return the OCI descriptor, with the platform if there is one."""
        value = super().descriptor()
        if self.platform:
            value["platform"] = self.platform.json
        return value

    def walk(self) -> Iterator[Manifest]:
        """Yield all descendants, then this manifest: the order in which to push them."""
        for child in self.children:
            yield from child.walk()
        yield self


@dataclass(frozen=True)
class Image(Manifest):
    """The manifest of an image for one platform."""

    layers: tuple[Layer, ...] = field(default=(), repr=False)

    @property
    def config(self) -> Any:
        """The image config as parsed JSON."""
        return json.loads(self.blobs[0].data)


@dataclass(frozen=True)
class Layer:
    """A gzipped tar with the files of a layer.

    ``data`` is the compressed tar; ``diff_id`` is the digest of the uncompressed tar, which the
    image config lists. ``created_by`` is the build command in the image history.
    """

    data: bytes = field(repr=False)
    diff_id: str
    created_by: str


@dataclass(frozen=True)
class Step:
    """A line of the image history without a layer, such as ``ENV``, ``LABEL``, or ``ENTRYPOINT``.

    ``created`` is used only if the step is the last one: as the creation time of the image.
    """

    created_by: str
    created: datetime = BUILT


def filler(size: int, seed: str) -> bytes:
    """Return ``size`` incompressible bytes, always the same for a seed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def tar(files: Mapping[str, str | bytes]) -> bytes:
    """Return an uncompressed tar of the files and their folders; ``*.sh`` files are executable.

    Owner, times, and order are fixed, so that the bytes depend only on the files.
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
    """Return the data compressed in the gzip format, with a fixed header.

    The header of `gzip.compress` depends on the Python version, and so would the digests.
    """
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    body = deflate.compress(data) + deflate.flush()
    return head + body + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def layer(files: Mapping[str, str | bytes], created_by: str = "COPY . /") -> Layer:
    """Return a layer with the files, given by path (without a leading slash) and content."""
    plain = tar(files)
    return Layer(gzipped(plain), sha256(plain), created_by)


def image(
    steps: Sequence[Layer | Step],
    *,
    family: Family = OCI,
    platform: str = "linux/amd64",
    runtime: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Return an image of layers and history steps without a layer, in order.

    ``runtime`` is the ``config`` object of the image config: Env, Entrypoint, Cmd,
    Labels, and so on. ``annotations`` are those of the manifest; only `OCI` allows them.
    """
    created = _creation_time(steps)
    target_platform = Platform.parse(platform)
    layers = tuple(step for step in steps if isinstance(step, Layer))
    config = {
        "created": rfc3339(created),
        **target_platform.json,
        "config": dict(runtime or {}),
        "rootfs": {"type": "layers", "diff_ids": [item.diff_id for item in layers]},
        "history": _build_history(steps, created),
    }
    blobs = (
        Blob(family.config, encode(config)),
        *(Blob(family.layer, item.data) for item in layers),
    )
    if annotations and family is not OCI:
        raise ValueError("Docker manifests have no annotations; put them into Labels.")
    body = manifest_body(family.manifest, blobs, annotations)
    return Image(
        family.manifest, encode(body), blobs=blobs, platform=target_platform, layers=layers
    )


def rfc3339(moment: datetime) -> str:
    """Return a time in the format of image configs: RFC 3339 in UTC, whole seconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _creation_time(steps: Sequence[Layer | Step]) -> datetime:
    last_step = steps[-1] if steps else None
    return last_step.created if isinstance(last_step, Step) else BUILT


def _build_history(steps: Sequence[Layer | Step], created: datetime) -> list[dict[str, Any]]:
    """Return the ``history`` of an image config; each line is one second older than the next."""
    lines: list[dict[str, Any]] = []
    for number, step in enumerate(steps, start=1):
        line: dict[str, Any] = {
            "created": rfc3339(created - timedelta(seconds=len(steps) - number)),
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
    members: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Return a manifest as a dict; its config is the first of ``blobs``, its layers the rest.

    ``members`` are additional members of the manifest, such as ``artifactType`` and ``subject``.
    """
    config, *layers = (blob.descriptor() for blob in blobs)
    body: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type, **(members or {})}
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
    """Return an OCI index (or a Docker manifest list) of the manifests, in the given order."""
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": family.index,
        "manifests": [child.descriptor() for child in children],
    }
    if annotations:
        body["annotations"] = dict(annotations)
    return Manifest(family.index, encode(body), children=tuple(children))
