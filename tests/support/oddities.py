"""Manifests that are unusual, and that registries hold all the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from registry_ui.demo.images import OCI, Blob, Manifest, encode, layer, sha256
from registry_ui.distribution.media_types import BUILD_CACHE, SIGNED_SCHEMA_1

from .forge import Key, encoded
from .live import LiveSite


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


@dataclass(frozen=True)
class SignedManifest(Manifest):
    """A manifest of schema 1: its digest leaves out the signatures."""

    payload: bytes = b""

    @property
    def digest(self) -> str:
        """The digest of what is signed."""
        return sha256(self.payload)


def schema1(name: str, *layers: Blob) -> SignedManifest:
    """Return an image of schema 1, signed as docker did it."""
    blobs = layers or (layer_blob(f"{name} 1"), layer_blob(f"{name} 2"))
    config = {"id": "a" * 64, "created": "2016-01-02T03:04:05Z", "config": {"User": "nobody"}}
    payload = json.dumps(
        {
            "schemaVersion": 1,
            "name": name,
            "tag": "1.0",
            "architecture": "amd64",
            "fsLayers": [{"blobSum": blob.digest} for blob in reversed(blobs)],
            "history": [{"v1Compatibility": json.dumps(config)} for _ in blobs],
        },
        indent=3,
    ).encode()
    body = sign_schema1(payload)
    return SignedManifest(SIGNED_SCHEMA_1, body, blobs=blobs, payload=payload)


def sign_schema1(payload: bytes) -> bytes:
    """Add a signature to a payload of schema 1, before its last two bytes."""
    key, head, tail = Key.new(), payload[:-2], payload[-2:]
    format_ = {
        "formatLength": len(head),
        "formatTail": encoded(tail),
        "time": "2016-01-02T00:00:00Z",
    }
    protected = encoded(json.dumps(format_).encode())
    signature = {
        "header": {"jwk": {**key.jwk, "kid": key.libtrust_id}, "alg": "ES256"},
        "signature": encoded(key.sign(f"{protected}.{encoded(payload)}".encode())),
        "protected": protected,
    }
    return head + b',\n   "signatures": ' + json.dumps([signature], indent=3).encode() + tail


def stop_taking_schema1(site: LiveSite) -> None:
    """Restart the registry with the setting that is the default."""
    site.registry.stop()
    site.registry.schema1 = False
    site.registry.start()
