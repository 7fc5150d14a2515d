"""A registry in memory: tags, manifests and blobs that a test arranges as it likes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.hostile_registry import Answer, Asked

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


def sha256(body: bytes) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


class Graph:
    """Answers as Distribution does; ``by_tag`` says whether as 3.x, which deletes by tag."""

    def __init__(self, *, by_tag: bool = False) -> None:
        self.by_tag = by_tag
        self.tags: dict[str, dict[str, str]] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.before: Any = lambda _asked: None
        #: Deletes by digest that break off behind the manifest and before its tags, as on 2.8.
        self.stumbles = 0

    # -- arranging ---------------------------------------------------------------

    def image(self, seed: str, **config: Any) -> str:
        """Store an image of its own; return its digest."""
        body = json.dumps({"seed": seed, "os": "linux", "architecture": "amd64", **config}).encode()
        self.blobs[sha256(body)] = body
        pointer = {"mediaType": OCI_CONFIG, "digest": sha256(body), "size": len(body)}
        return self.store(OCI, {"schemaVersion": 2, "config": pointer, "layers": []})

    def index(self, *children: str, **more: Any) -> str:
        """Store an index of these manifests; return its digest."""
        pointers = [
            {"mediaType": self.manifests[child][0], "digest": child, "size": 1}
            for child in children
        ]
        return self.store(OCI_INDEX, {"schemaVersion": 2, "manifests": pointers, **more})

    def store(self, media_type: str, document: Any) -> str:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.manifests[sha256(body)] = (media_type, body)
        return sha256(body)

    def tag(self, repository: str, **tags: str) -> None:
        """Point tags to digests."""
        self.tags.setdefault(repository, {}).update(tags)

    # -- answering ---------------------------------------------------------------

    def __call__(self, asked: Asked) -> Answer:
        self.before(asked)
        path = urlsplit(asked.path).path
        if path == "/v2/":
            return Answer(200, {}, {"Docker-Distribution-Api-Version": "registry/2.0"})
        if path == "/v2/_catalog":
            return Answer(200, {"repositories": sorted(self.tags)})
        name, kind, reference = re.fullmatch(
            "/v2/(.+)/(tags|manifests|blobs/uploads|blobs)/(.*)", path
        ).groups()
        if kind == "tags":
            if name not in self.tags:
                return refusal(404, "NAME_UNKNOWN")
            return Answer(200, {"name": name, "tags": sorted(self.tags[name]) or None})
        if kind == "manifests":
            return self._manifest(asked, self.tags.setdefault(name, {}), reference)
        return self._blob(asked, name, reference)

    def _manifest(self, asked: Asked, tags: dict[str, str], reference: str) -> Answer:
        digest = tags.get(reference, reference)
        if asked.method == "PUT":
            digest = self.store(asked.headers["Content-Type"], asked.body)
            if ":" not in reference:
                tags[reference] = digest
            return Answer(201)
        if asked.method == "DELETE":
            return self._delete(tags, reference)
        if digest not in self.manifests:
            return refusal(404, "MANIFEST_UNKNOWN")
        media_type, body = self.manifests[digest]
        return Answer(200, body, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _delete(self, tags: dict[str, str], reference: str) -> Answer:
        if ":" not in reference:
            if not self.by_tag:
                return refusal(400, "DIGEST_INVALID")
            return Answer(202) if tags.pop(reference, None) else refusal(404, "MANIFEST_UNKNOWN")
        if self.manifests.pop(reference, None) is None:
            return refusal(404, "MANIFEST_UNKNOWN")
        if self.stumbles:
            self.stumbles -= 1
            return refusal(500, "UNKNOWN")
        for tag in [tag for tag, digest in tags.items() if digest == reference]:
            del tags[tag]
        return Answer(202)

    def _blob(self, asked: Asked, name: str, reference: str) -> Answer:
        if asked.method == "POST":
            return Answer(202, b"", {"Location": f"/v2/{name}/blobs/uploads/1?_state=x"})
        if asked.method == "PUT":
            (digest,) = parse_qs(urlsplit(asked.path).query)["digest"]
            self.blobs[digest] = asked.body
            return Answer(201)
        found = self.blobs.get(reference)
        return refusal(404, "BLOB_UNKNOWN") if found is None else Answer(200, found)


def refusal(status: int, code: str) -> Answer:
    """An error as the registry writes it."""
    headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
    return Answer(status, {"errors": [{"code": code, "message": "words"}]}, headers)
