"""A project's images as folders: multi-level names become a tree. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..patterns.search import matcher

SORTS = ("name", "size", "pulls", "pushed")


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as lists show it. ``name`` is below the project, ``path`` the repository.

    ``size`` is that of the tag that was pushed last; None where it is not known.
    """

    name: str
    path: str
    tag_count: int
    last_push_at: datetime | None
    last_push_by: str | None
    pull_count: int
    size: int | None = None


@dataclass(slots=True)
class Folder:
    """One level of names. May be an image itself, and hold folders as well.

    ``name`` is the whole name below the project, ``""`` for the project itself. The
    figures include everything below; ``size`` and ``last_push_at`` as far as known.
    """

    segment: str
    name: str
    image: ImageRow | None = None
    folders: list[Folder] = field(default_factory=list)
    image_count: int = 0
    tag_count: int = 0
    pull_count: int = 0
    size: int | None = None
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

    def sort(self, by: str, *, descending: bool) -> None:
        """Sort every level by ``name``, ``size``, ``pulls`` or ``pushed``.

        A folder counts with everything below it. What is not known comes last, whichever
        way the rest is sorted; equals keep the order of their names.
        """
        value = _VALUES[by]
        known = [folder for folder in self.folders if value(folder) is not None]
        known.sort(key=value, reverse=descending)
        self.folders = known + [folder for folder in self.folders if value(folder) is None]
        for folder in self.folders:
            folder.sort(by, descending=descending)


_VALUES: dict[str, Callable[[Folder], Any]] = {
    "name": lambda folder: folder.segment,
    "size": lambda folder: folder.size,
    "pulls": lambda folder: folder.pull_count,
    "pushed": lambda folder: folder.last_push_at,
}


@dataclass(frozen=True, slots=True)
class TreeView:
    """A tree as a page shows it: ``folder`` with what matches ``q``, of ``total`` images."""

    folder: Folder
    total: int
    q: str
    sort: str
    order: str


def tree_view(images: Sequence[ImageRow], name: str, q: str, sort: str, order: str) -> TreeView:
    """Return the folder of that name, filtered and sorted.

    Args:
        images: all images of the project, or those at and below the name.
    """
    folder = build_tree(matching(images, q)).find(name) or Folder(name.rpartition("/")[2], name)
    folder.sort(sort, descending=order == "desc")
    return TreeView(folder, len(images), q, sort, order)


def matching(images: Iterable[ImageRow], text: str) -> list[ImageRow]:
    """Return the images whose names match what somebody typed; all of them for nothing.

    The root image has no name of its own: it goes by that of its project.
    """
    matches = matcher(text)
    return [image for image in images if matches(image.name or image.path.rpartition("/")[2])]


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
    node.pull_count += image.pull_count
    if image.size is not None:
        node.size = (node.size or 0) + image.size
    if image.last_push_at and (node.last_push_at is None or image.last_push_at > node.last_push_at):
        node.last_push_at = image.last_push_at
