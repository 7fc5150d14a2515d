"""Storage usage of a namespace, project, or image (the scope), as pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UsagePart:
    """A part of a scope: a project, an image, or a tag, with its storage usage in bytes.

    ``tags`` is the number of tags, ``size`` the size of all blobs of the part, and ``alone`` the
    size of the blobs that no other part of the scope needs. ``tag`` is "" unless the part is a tag.
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

    ``examples`` are the first few of these tags, as ``(project, repository, tag)``.
    """

    digest: str
    media_type: str
    size: int
    images: int
    tags: int
    examples: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class UsageParts:
    """The largest parts of a scope, and sums for the remaining parts.

    ``rest_count`` is the number of parts that are not in ``rows``, and ``rest_size`` the sum of
    their ``alone`` sizes. ``shared`` is the size of the blobs that several parts of the scope need.
    Sizes are in bytes.
    """

    rows: list[UsagePart]
    rest_count: int
    rest_size: int
    shared: int

    @property
    def pieces(self) -> list[tuple[str, int, str]]:
        """The segments of the bar chart, which add up to the size of the scope.

        Each segment is a label, a size in bytes, and a key: the number of the row from 0, ``rest``
        for the remaining parts, or ``shared`` for blobs that several parts need.
        """
        pieces = [(r.tag or r.repository, r.alone, str(n)) for n, r in enumerate(self.rows)]
        pieces += [("the smaller ones", self.rest_size, "rest"), ("shared", self.shared, "shared")]
        return [piece for piece in pieces if piece[1]]


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The storage usage of a scope, in bytes.

    ``size`` counts each blob once. ``analyzed`` is the number of tags, out of ``tags``, whose
    contents are stored. ``images`` is the number of images. ``fresh_at`` is the time at which the
    least recently reconciled image was compared with the registry; None if an image never was.
    ``projects`` contains the usage by project if it was requested, otherwise None.
    """

    size: int
    tags: int
    analyzed: int
    images: int
    fresh_at: datetime | None
    projects: UsageParts | None
    largest: UsageParts
    layers: list[SharedLayer]

    def share(self, part: UsagePart) -> float | None:
        """Return the share of a part in the size (0 to 1); None if nothing has a size."""
        return part.size / self.size if self.size else None
