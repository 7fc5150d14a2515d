"""Downloads of a tag: its manifest and config byte for byte, and the packages in its SBOM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..artifacts.sbom import sbom_of
from ..db.session import db
from ..distribution.sbom import Package
from ..errors import NotFound, RegistryUnreachable
from ..manifests.store import children_of, facts_of
from ..models import ContainerImage, Manifest
from ..names import TagName
from ..registry_connection import unreachable_from_message
from .live_tag import read_live_tag


@dataclass(frozen=True, slots=True)
class SbomView:
    """The packages of one platform of a tag.

    ``packages`` is None if no SBOM can be read. ``error`` is the reason, or an error that the
    registry returned for the tag, or None. ``platform`` is the label of the platform; "" if the tag
    is not an OCI index. ``fresh_at`` is the time of the registry's last answer for the tag; None
    if it is not known.
    """

    packages: list[Package] | None
    platform: str
    fresh_at: datetime | None
    error: str | None


def manifest_bytes(image: ContainerImage, name: TagName, platform: str) -> bytes:
    """Return the bytes of a tag's manifest, or of one platform's manifest in its OCI index.

    Args:
        image: the image.
        name: the name of the tag.
        platform: digest of the platform's manifest; "" for the manifest of the tag itself.

    Raises:
        NotFound: there is no such tag, or its OCI index has no such manifest that was read.
        RegistryUnreachable: the manifest could not be read from the registry.
    """
    manifest = _load_manifest(image, name)
    return (_load_child(image, manifest, platform) if platform else manifest).body


def config_bytes(image: ContainerImage, name: TagName, platform: str) -> bytes:
    """Return the bytes of the config of a tag, or of one platform in its OCI index.

    Args:
        image: the image.
        name: the name of the tag.
        platform: digest of the platform's manifest; "" for the first platform of an OCI index.

    Raises:
        NotFound: there is no such tag or platform, or the manifest is of a kind that has no
            config to download.
        RegistryUnreachable: the manifest or the config could not be read from the registry.
    """
    manifest = _load_manifest(image, name)
    digest = platform or facts_of(manifest).first_platform
    chosen = _load_child(image, manifest, digest) if digest else manifest
    if chosen.config is None:
        if facts_of(chosen).wants_config:
            raise RegistryUnreachable(
                "The config could not be read from the registry.", "Try again."
            )
        raise NotFound
    return chosen.config


def sbom_view(image: ContainerImage, name: TagName, platform: str) -> SbomView:
    """Return the packages of a tag, or of one platform in its OCI index, as its SBOM lists them.

    Args:
        image: the image.
        name: the name of the tag.
        platform: digest of the platform's manifest; "" for the first platform of an OCI index.

    Raises:
        NotFound: there is no such tag or platform.
    """
    tag, fresh_at, error = read_live_tag(image, name)
    manifest = db.session.get(Manifest, tag.digest) if tag.digest else None
    if manifest is None:
        return SbomView(None, "", fresh_at, error or "the manifest could not be read")
    digest = platform or facts_of(manifest).first_platform
    labels = {child.digest: child.platform for child in facts_of(manifest).children}
    if digest and digest not in labels:
        raise NotFound
    packages, problem = sbom_of(image, manifest, digest)
    return SbomView(packages, labels.get(digest, ""), fresh_at, error or problem or None)


def _load_manifest(image: ContainerImage, name: TagName) -> Manifest:
    tag, _, error = read_live_tag(image, name)
    manifest = db.session.get(Manifest, tag.digest) if tag.digest else None
    if manifest is None:
        raise unreachable_from_message(error or "it gave no manifest", "Try again.")
    return manifest


def _load_child(image: ContainerImage, manifest: Manifest, digest: str) -> Manifest:
    child = children_of(image.path, [manifest]).get(digest)
    if child is None:
        raise NotFound
    return child
