"""Repositories with something odd in them, pushed once and then copied into registries' storage.

Copying the files is faster than pushing again, and it is what an update does: a registry 3.x that
was given the storage of 2.8 has what it would refuse from a client.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from registry_ui.demo.images import OCI, Manifest, encode, index

from .damage import KINDS, damage_tag
from .live import Pusher, tiny
from .oddities import build_cache, schema1
from .registry import Registry

#: The tag of the odd object; beside it are two ordinary ones.
ODD = "odd"
ONE, TWO = tiny("one"), tiny("two")
#: Bytes of annotations that make a manifest almost as large as a registry accepts.
LARGE = 4 * 1024 * 1024 - 4096
MISSING = tiny("missing child", platform="linux/arm64")


def _large() -> Manifest:
    plain = tiny("4 MiB")
    body = encode({**plain.json, "annotations": {"filler": "x" * LARGE}})
    return Manifest(OCI.manifest, body, blobs=plain.blobs)


def _many_children() -> Manifest:
    return index([tiny(f"child {n}", platform=f"linux/arm/v{n}") for n in range(64)])


#: What is odd, and the manifest that has its tag.
ODDITIES: dict[str, Callable[[], Manifest]] = {
    "build cache": lambda: build_cache("odd"),
    "empty link": lambda: tiny("empty link"),
    "missing link": lambda: tiny("missing link"),
    "ghost": lambda: tiny("ghost"),
    "empty manifest": lambda: tiny("empty manifest"),
    "schema 1": lambda: schema1("odd"),
    "missing child": lambda: index([tiny("amd"), MISSING]),
    "64 children": _many_children,
    "4 MiB": _large,
}
ORDINARY = "ordinary"


class HostileStorage:
    """The storage of a registry 2.8 that holds one repository for each oddity.

    Args:
        registry: a running 2.8 that accepts schema 1.
    """

    def __init__(self, registry: Registry, pusher: Pusher) -> None:
        self._registry, self._pusher = registry, pusher
        self._made: dict[str, dict[str, Manifest]] = {}

    def manifests(self, what: str) -> dict[str, Manifest]:
        """Return the manifests of a repository by tag."""
        if what not in self._made:
            self._made[what] = self._push(what)
        return self._made[what]

    def plant(self, what: str, registry: Registry, repository: str) -> None:
        """Copy the repository of an oddity, or the ordinary one, into a registry's storage."""
        made = self.manifests(what)
        source, target = _root(self._registry), _root(registry)
        shutil.copytree(source / "repositories" / _name(what), target / "repositories" / repository)
        for digest in _digests(made):
            place = f"blobs/sha256/{digest[:2]}/{digest}"
            shutil.copytree(source / place, target / place, dirs_exist_ok=True)

    def _push(self, what: str) -> dict[str, Manifest]:
        tags = {"1.0": ONE, "2.0": TWO}
        if what != ORDINARY:
            tags[ODD] = ODDITIES[what]()
        self._pusher.push(_name(what), tags)
        if what == "missing child":
            self._pusher.delete(_name(what), MISSING.digest)
        if what in KINDS:
            damage_tag(self._registry, _name(what), ODD, what)
        return tags


def _name(what: str) -> str:
    return what.lower().replace(" ", "-")


def _root(registry: Registry) -> Path:
    return registry.home / "data/docker/registry/v2"


def _digests(tags: dict[str, Manifest]) -> Iterator[str]:
    for manifest in tags.values():
        for part in manifest.walk():
            for digest in (part.digest, *(blob.digest for blob in part.blobs)):
                yield digest.partition(":")[2]
