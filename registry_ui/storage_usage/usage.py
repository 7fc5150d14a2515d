"""Storage usage as pages show it: of a scope, of its parts, and of its largest layers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UsagePart:
    """A project, an image or a tag, with its size.

    ``size`` is in bytes; ``alone`` is the size of the blobs that no other part needs.
    """

    project: str
    repository: str
    tag: str
    tags: int
    size: int
    alone: int

    @property
    def name(self) -> str:
        """The name of the image, without the path of its project."""
        return self.repository[len(self.project) + 1 :]


@dataclass(frozen=True, slots=True)
class SharedLayer:
    """A layer, its size in bytes, and the number of images and tags that need it.

    ``named`` are the first few of these tags, as ``(project, repository, tag)``.
    """

    digest: str
    media_type: str
    size: int
    images: int
    tags: int
    named: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class UsageParts:
    """The largest parts of a scope, and the sums of the others.

    ``rest_count`` is the number of parts that are not in ``rows``, and ``rest_size`` the size of
    the blobs that only one of those needs. ``shared`` is the size of the blobs that several parts
    need. Sizes are in bytes.
    """

    rows: list[UsagePart]
    rest_count: int
    rest_size: int
    shared: int

    @property
    def pieces(self) -> list[tuple[str, int, str]]:
        """The segments of the bar chart, which add up to the total: label, bytes, and a key.

        The key is the number of the row, ``rest`` for the smaller parts, or ``shared``.
        """
        pieces = [(r.tag or r.repository, r.alone, str(n)) for n, r in enumerate(self.rows)]
        pieces += [("the smaller ones", self.rest_size, "rest"), ("shared", self.shared, "shared")]
        return [piece for piece in pieces if piece[1]]


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The storage usage of a scope, in bytes.

    ``size`` counts each blob once. ``known`` is the number of tags, out of ``tags``, whose
    contents are stored. ``fresh_at`` is the oldest time of the last reconcile of these images;
    None if one was never reconciled. ``projects`` is set only for a division by project.
    """

    size: int
    tags: int
    known: int
    images: int
    fresh_at: datetime | None
    projects: UsageParts | None
    largest: UsageParts
    layers: list[SharedLayer]

    def share(self, part: UsagePart) -> float | None:
        """Return the share of a part in the size (0 to 1); None if nothing has a size."""
        return part.size / self.size if self.size else None
