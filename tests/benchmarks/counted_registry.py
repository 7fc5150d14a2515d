"""A real registry of which benchmarks fill the disk, and count the calls."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_ui.demo.images import Manifest
from tests.support import storage as storages
from tests.support.stack import Stack


class OnDisk:
    """Writes images as the filesystem driver of Distribution keeps them: 6,600 take seconds."""

    def __init__(self, root: Path) -> None:
        self._root = root / "docker/registry/v2"

    @classmethod
    def of(cls, stack: Stack) -> OnDisk:
        """Return the disk of the registry of a stack."""
        text = (stack.config.var / "registry/config.yml").read_text()
        return cls(Path(json.loads(re.search(r"rootdirectory: (.*)", text)[1])))

    def write(self, repository: str, tag: str, made: Manifest) -> None:
        """Put a tag of a repository, with its manifest and config."""
        home = self._root / "repositories" / repository
        for blob in made.blobs:
            self._blob(blob.digest, blob.data)
            hexadecimal = blob.digest.removeprefix("sha256:")
            self._file(home / "_layers/sha256" / hexadecimal / "link", blob.digest.encode())
        self.write_manifest(repository, made)
        tags, digest = home / "_manifests/tags" / tag, made.digest.removeprefix("sha256:")
        self._file(tags / "current/link", made.digest.encode())
        self._file(tags / "index/sha256" / digest / "link", made.digest.encode())

    def write_manifest(self, repository: str, made: Manifest) -> None:
        """Put a manifest of a repository, without its parts."""
        revisions = self._root / "repositories" / repository / "_manifests/revisions/sha256"
        self._blob(made.digest, made.data)
        digest = made.digest.removeprefix("sha256:")
        self._file(revisions / digest / "link", made.digest.encode())

    def _blob(self, digest: str, data: bytes) -> None:
        assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
        hexadecimal = digest.removeprefix("sha256:")
        self._file(self._root / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data", data)

    def _file(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@contextmanager
def counted_stack(home: Path) -> Iterator[Stack]:
    """The product, not started yet, with a registry that logs each call."""
    with storages.prepared("sqlite", home, storages.template(home)) as storage:
        stack = Stack(home / "stack", storage, "2.8")
        config = stack.config.var / "registry/config.yml"
        text = config.read_text()
        counted = text.replace("accesslog:\n    disabled: true", "accesslog:\n    disabled: false")
        assert counted != text
        config.write_text(counted)
        try:
            yield stack
        finally:
            stack.close()


def calls_to(stack: Stack) -> int:
    """Return how many calls the registry answered so far, events to us not among them."""
    log = (stack.config.var / "registry.log").read_text(errors="replace")
    return len(re.findall(r'"(?:GET|HEAD|PUT|POST|DELETE) /v2/', log))
