"""Damage to a registry's storage, by hand: what a full disk or a crash leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Stored(Protocol):
    """A registry of which the storage is below ``home``."""

    @property
    def home(self) -> Path:
        """The directory of its data."""


#: How a tag can be damaged; what the registry then answers for it, and our word for that.
KINDS = {
    "empty link": "fault",
    "missing link": "missing",
    "ghost": "missing",
    "empty manifest": "fault",
}


def damage_tag(registry: Stored, repository: str, tag: str, kind: str) -> None:
    """Damage one tag.

    Args:
        kind: one of KINDS. A ghost is a tag whose manifest's own link is missing.
    """
    store = registry.home / "data/docker/registry/v2"
    manifests = store / "repositories" / repository / "_manifests"
    link = manifests / "tags" / tag / "current/link"
    algorithm, _, hexadecimal = link.read_text().partition(":")
    if kind == "empty link":
        link.write_text("")
    elif kind == "missing link":
        link.unlink()
    elif kind == "ghost":
        (manifests / "revisions" / algorithm / hexadecimal / "link").unlink()
    else:
        (store / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data").write_text("")
