"""A project's images as folders: multi-level names become a tree. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as lists show it. ``name`` is below the project, ``path`` the repository."""

    name: str
    path: str
    tag_count: int
    last_push_at: datetime | None
    last_push_by: str | None
    pull_count: int


@dataclass(slots=True)
class Folder:
    """One level of names. May be an image itself, and hold folders as well.

    ``name`` is the whole name below the project, ``""`` for the project itself. The
    counts include everything below.
    """

    segment: str
    name: str
    image: ImageRow | None = None
    folders: list[Folder] = field(default_factory=list)
    image_count: int = 0
    tag_count: int = 0
    last_push_at: datetime | None = None

    def find(self, name: str) -> Folder | None:
        """Return the folder of that whole name, or None."""
        here = self
        for segment in filter(None, name.split("/")):
            found = next((f for f in here.folders if f.segment == segment), None)
            if found is None:
                return None
            here = found
        return here


def build_tree(images: Iterable[ImageRow]) -> Folder:
    """Arrange images by the segments of their names, each level sorted by name."""
    root = Folder("", "")
    index = {"": root}
    for image in sorted(images, key=lambda image: image.name.split("/")):
        node = root
        _count(node, image)
        for segment in filter(None, image.name.split("/")):
            name = f"{node.name}/{segment}" if node.name else segment
            if name not in index:
                index[name] = Folder(segment, name)
                node.folders.append(index[name])
            node = index[name]
            _count(node, image)
        node.image = image
    return root


def _count(node: Folder, image: ImageRow) -> None:
    node.image_count += 1
    node.tag_count += image.tag_count
    if image.last_push_at and (node.last_push_at is None or image.last_push_at > node.last_push_at):
        node.last_push_at = image.last_push_at
