"""Manifests that are unusual, and that registries hold all the same."""

from __future__ import annotations

from typing import Any

from registry_ui.demo.images import OCI, Blob, Manifest, encode, layer
from registry_ui.distribution.media_types import BUILD_CACHE


def layer_blob(name: str) -> Blob:
    """Return a small layer; another name is another digest."""
    return Blob(OCI.layer, layer({"cached": name}).data)


def index_of_blobs(*blobs: Blob, **more: Any) -> Manifest:
    """Return an index whose entries are blobs."""
    entries = [blob.descriptor() for blob in blobs]
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": entries, **more}
    return Manifest(OCI.index, encode(body), blobs=blobs)


def build_cache(name: str, *layers: Blob) -> Manifest:
    """Return what ``docker buildx build --cache-to type=registry`` pushed in its older form."""
    listed = layers or (layer_blob(f"{name} 1"), layer_blob(f"{name} 2"))
    records = [{"digest": blob.digest} for blob in listed]
    config = Blob(BUILD_CACHE, encode({"layers": records, "records": [], "name": name}))
    return index_of_blobs(*listed, config)
