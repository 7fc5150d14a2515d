"""A project's images as a tree of folders, built from multi-level names. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..patterns.search import matcher

SORTS = ("name", "size", "pulls", "pushed")


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as a row of a list.

    ``name`` is relative to the project, ``path`` is the repository. ``last_push_at`` and
    ``last_push_by`` are None if no push is known. ``size`` is the size in bytes of the tag that
    was pushed last; None if it is unknown.
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
    """A folder of a project's image tree: one path segment of image names.

    A folder can be an image (``image``) and contain more folders (``folders``) at the same time.
    ``name`` is the whole name relative to the project, ``""`` for the project itself. The counts,
    ``size`` (bytes), and ``last_push_at`` cover the folder's image and all images below it; images
    whose value is unknown are ignored, and the result is None if all are unknown.
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
        """Return the folder whose name, relative to this folder, is ``name``; None if missing."""
        folder = self
        for segment in filter(None, name.split("/")):
            child = next((f for f in folder.folders if f.segment == segment), None)
            if child is None:
                return None
            folder = child
        return folder

    def sort(self, by: str, *, descending: bool) -> None:
        """Sort the folders at every level below this one.

        A folder is sorted by its total over all images in it. Unknown values come last in either
        direction; folders with equal values keep their order.

        Args:
            by: ``name``, ``size``, ``pulls``, or ``pushed``.
            descending: whether to sort in descending order.
        """
        value = _SORT_VALUES[by]
        folders_with_value = [folder for folder in self.folders if value(folder) is not None]
        folders_with_value.sort(key=value, reverse=descending)
        self.folders = folders_with_value + [
            folder for folder in self.folders if value(folder) is None
        ]
        for folder in self.folders:
            folder.sort(by, descending=descending)


_SORT_VALUES: dict[str, Callable[[Folder], Any]] = {
    "name": lambda folder: folder.segment,
    "size": lambda folder: folder.size,
    "pulls": lambda folder: folder.pull_count,
    "pushed": lambda folder: folder.last_push_at,
}


@dataclass(frozen=True, slots=True)
class TreeView:
    """A filtered and sorted tree of images as a page shows it.

    ``folder`` contains the images that match the filter text ``q``; ``total`` is the number of
    images before filtering. ``sort`` and ``order`` are the sort order that was used.
    """

    folder: Folder
    total: int
    q: str
    sort: str
    order: str


def tree_view(images: Sequence[ImageRow], name: str, q: str, sort: str, order: str) -> TreeView:
    """Return a folder of a project's images, filtered and sorted; empty if no image matches.

    Args:
        images: all images of the project, or only those at and below the folder.
        name: name of the folder relative to the project.
        q: text of the filter; "" for all images.
        sort: one of SORTS.
        order: ``desc`` for descending, anything else for ascending.
    """
    folder = build_tree(matching(images, q)).find(name) or Folder(name.rpartition("/")[2], name)
    folder.sort(sort, descending=order == "desc")
    return TreeView(folder, len(images), q, sort, order)


def matching(images: Iterable[ImageRow], text: str) -> list[ImageRow]:
    """Return the images whose names match a filter text; all images if the text is empty.

    The root image of a project (whose repository is the project's path) has no name of its own, so
    the last segment of its path is used.
    """
    matches = matcher(text)
    return [image for image in images if matches(image.name or image.path.rpartition("/")[2])]


def build_tree(images: Iterable[ImageRow]) -> Folder:
    """Build a folder tree from image names, with each level sorted by name."""
    root = Folder("", "")
    index = {"": root}
    for image in sorted(images, key=lambda image: image.name.split("/")):
        node = root
        _add_to_totals(node, image)
        for segment in filter(None, image.name.split("/")):
            name = f"{node.name}/{segment}" if node.name else segment
            if name not in index:
                index[name] = Folder(segment, name)
                node.folders.append(index[name])
            node = index[name]
            _add_to_totals(node, image)
        node.image = image
    return root


def _add_to_totals(node: Folder, image: ImageRow) -> None:
    node.image_count += 1
    node.tag_count += image.tag_count
    node.pull_count += image.pull_count
    if image.size is not None:
        node.size = (node.size or 0) + image.size
    if image.last_push_at and (node.last_push_at is None or image.last_push_at > node.last_push_at):
        node.last_push_at = image.last_push_at
