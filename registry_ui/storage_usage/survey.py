"""Storage usage: of a namespace by project and image, of a project by image, of an image by tag.

A blob counts once, even if several manifests need it. The size of the blobs that only one image
needs is what its removal would free, as far as this scope shows: a project outside of it can
need the same layer.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ..catalog.images import is_listed
from ..distribution.manifest import Descriptor
from ..manifests.blobs import key_of, unpack
from ..manifests.store import MAX_DEPTH, facts_of
from ..models import ContainerImage, Manifest, ManifestContents, Project, RepositoryManifest, Tag

#: Maximum number of parts and of layers that are listed; the other parts are added up.
LARGEST = 20
#: Maximum number of tags that are named for a layer.
NAMED = 3


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

    ``more`` is the number of parts that are not in ``rows``, and ``more_alone`` the size of the
    blobs that only one of those needs. ``shared`` is the size of the blobs that several parts
    need. Sizes are in bytes.
    """

    rows: list[UsagePart]
    more: int
    more_alone: int
    shared: int

    @property
    def pieces(self) -> list[tuple[str, int, str]]:
        """The segments of the bar chart, which add up to the total: label, bytes, and a key.

        The key is the number of the row, ``rest`` for the smaller parts, or ``shared``.
        """
        found = [(r.tag or r.repository, r.alone, str(n)) for n, r in enumerate(self.rows)]
        found += [("the smaller ones", self.more_alone, "rest"), ("shared", self.shared, "shared")]
        return [piece for piece in found if piece[1]]


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


@dataclass(slots=True)
class _Image:
    """An image while its usage is added up: the rows of its tags, and the keys of their blobs."""

    id: int
    path: str
    project: str
    project_id: int
    reconciled_at: datetime | None
    tags: list[Any] = field(default_factory=list)
    blobs: set[bytes] = field(default_factory=set)


class UsageScan:
    """The images of a scope and the stored contents of their tags, read by three queries.

    Args:
        scope: condition that selects the images, which are joined with their projects.
    """

    def __init__(self, session: Session, scope: ColumnElement[bool]) -> None:
        self.sizes: dict[bytes, int] = {}
        #: Packed blobs and children of manifests, by image ID and digest. A manifest is included
        #: only if the image is known to contain it.
        self._held: dict[int, dict[str, tuple[bytes, str]]] = defaultdict(dict)
        self.images = self._read_images(session, scope)
        self._read_tags(session, scope)
        self._read_children(session, scope)
        self.known = {(i.id, tag.name) for i in self.images.values() for tag in self._add(i)}

    def unknown(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield repository, tag and digest (if known) of the tags whose contents must be read."""
        for image in self.images.values():
            for tag in image.tags:
                if (image.id, tag.name) not in self.known:
                    yield image.path, tag.name, tag.digest

    def holder(self, image: _Image, blob: bytes) -> str:
        """Return the digest of a manifest of an image that needs this blob."""
        held = self._held[image.id].items()
        return next(digest for digest, (packed, _) in held if blob in packed)

    def packs(self, image: _Image, digest: str | None) -> list[bytes]:
        """Return the packed blobs of a manifest and of the manifests below it, one item each."""
        packed, children = self._held[image.id].get(digest or "", (b"", ""))
        if not children:
            return [packed]
        return [packed for packed, _ in self._reached(image.id, digest)[0]]

    def _read_images(self, session: Session, scope: ColumnElement[bool]) -> dict[int, _Image]:
        query = (
            select(
                ContainerImage.id,
                ContainerImage.path,
                Project.path.label("project"),
                ContainerImage.project_id,
                ContainerImage.reconciled_at,
            )
            .join(Project, Project.id == ContainerImage.project_id)
            .where(scope, is_listed())
            .order_by(ContainerImage.path)
        )
        return {row.id: _Image(*row) for row in session.execute(query)}

    def _read_tags(self, session: Session, scope: ColumnElement[bool]) -> None:
        query = (
            select(
                Tag.image_id,
                Tag.name,
                Tag.digest,
                ManifestContents.blobs,
                ManifestContents.children,
            )
            .join(ContainerImage, ContainerImage.id == Tag.image_id)
            .join(Project, Project.id == ContainerImage.project_id)
            .outerjoin(ManifestContents, ManifestContents.digest == Tag.digest)
            .where(scope)
            .order_by(Tag.image_id, Tag.name)
        )
        for row in session.execute(query):
            image = self.images.get(row.image_id)
            if image is None:
                continue  # The image was added between the two queries.
            image.tags.append(row)
            if row.blobs is not None:
                # The digest of a tag needs no proof that the image contains the manifest.
                self._held[row.image_id][row.digest] = (row.blobs, row.children)

    def _read_children(self, session: Session, scope: ColumnElement[bool]) -> None:
        query = (
            select(
                RepositoryManifest.image_id,
                RepositoryManifest.digest,
                ManifestContents.blobs,
                ManifestContents.children,
            )
            .join(ContainerImage, ContainerImage.id == RepositoryManifest.image_id)
            .join(Project, Project.id == ContainerImage.project_id)
            .join(ManifestContents, ManifestContents.digest == RepositoryManifest.digest)
            .where(scope)
        )
        for row in session.execute(query):
            self._held[row.image_id][row.digest] = (row.blobs, row.children)

    def _add(self, image: _Image) -> Iterator[Any]:
        """Add up the blobs of an image, and yield its tags whose contents are completely known."""
        complete: dict[str | None, bool] = {}
        counted: set[str | None] = set()
        for tag in image.tags:
            if tag.digest not in complete:
                if tag.children == "":  # Most tags have no children, and this way is twice as fast.
                    found, complete[tag.digest] = [(tag.blobs, "")], True
                else:
                    found, complete[tag.digest] = self._reached(image.id, tag.digest, counted)
                for packed, _ in found:
                    blobs = unpack(packed)
                    self.sizes.update(blobs)
                    image.blobs.update(blobs)
            if complete[tag.digest]:
                yield tag

    def _reached(
        self, image_id: int, digest: str | None, counted: set[str | None] | None = None
    ) -> tuple[list[tuple[bytes, str]], bool]:
        """Return the contents of a manifest and of those below it, and whether all were found.

        Args:
            image_id: the image that must contain the manifests.
            digest: the manifest to begin with.
            counted: digests whose contents are left out, because an earlier call returned them;
                the digests that are returned now are added to it.

        Returns:
            Packed blobs and children of each manifest, and False if one of them is not stored.
        """
        held, level, whole = self._held[image_id], {digest}, True
        counted = set() if counted is None else counted
        seen: set[str | None] = set()
        found = []
        for _ in range(MAX_DEPTH + 1):
            below: set[str | None] = set()
            for name in level - seen:
                row = held.get(name or "")
                if row is None:
                    whole = False
                    continue
                below.update(row[1].split())
                if name in counted:
                    continue
                found.append(row)
                counted.add(name)
            seen |= level
            level = below
        return found, whole


def summarize_usage(
    session: Session,
    survey: UsageScan,
    *,
    by: str,
    open_projects: set[int],
) -> UsageSummary:
    """Return the storage usage of a scope, with its largest parts and layers.

    Args:
        survey: the images of the scope.
        by: ``project``, ``image`` or ``tag``: the parts into which the scope is divided.
        open_projects: IDs of the projects whose layers are shown, because the reader has the
            pull permission there.
    """
    images = list(survey.images.values())
    moments = [image.reconciled_at for image in images]
    parts = _by_tag(survey, images) if by == "tag" else _by_image(survey, images)
    return UsageSummary(
        size=sum(survey.sizes.values()),
        tags=sum(len(image.tags) for image in images),
        known=len(survey.known),
        images=len(images),
        fresh_at=None if None in moments else min(filter(None, moments), default=None),
        projects=_by_project(survey, images) if by == "project" else None,
        largest=parts,
        layers=_layers(session, survey, [i for i in images if i.project_id in open_projects]),
    )


def _by_project(survey: UsageScan, images: list[_Image]) -> UsageParts:
    blobs: dict[str, set[bytes]] = defaultdict(set)
    tags: Counter[str] = Counter()
    for image in images:
        blobs[image.project] |= image.blobs
        tags[image.project] += len(image.tags)
    return _parts(
        survey, ((path, (path, path, "", tags[path]), found) for path, found in blobs.items())
    )


def _by_image(survey: UsageScan, images: list[_Image]) -> UsageParts:
    return _parts(survey, ((i.id, (i.project, i.path, "", len(i.tags)), i.blobs) for i in images))


def _by_tag(survey: UsageScan, images: list[_Image]) -> UsageParts:
    return _parts(
        survey,
        (
            (
                (image.id, tag.name),
                (image.project, image.path, tag.name, 1),
                {key for packed in survey.packs(image, tag.digest) for key in unpack(packed)},
            )
            for image in images
            for tag in image.tags
        ),
    )


def _parts(
    survey: UsageScan, divided: Iterable[tuple[Hashable, tuple[str, str, str, int], set[bytes]]]
) -> UsageParts:
    """Return the largest parts, each with the size of the blobs that only it needs.

    Args:
        divided: for each part a unique key; its project, repository, tag and number of tags; and
            the keys of its blobs.
    """
    every = list(divided)
    holders: Counter[bytes] = Counter()
    for _, _, blobs in every:
        holders.update(blobs)
    size_of = survey.sizes.__getitem__
    rows = [
        UsagePart(
            *names,
            size=sum(map(size_of, blobs)),
            alone=sum(size_of(key) for key in blobs if holders[key] == 1),
        )
        for _, names, blobs in every
    ]
    rows.sort(key=lambda part: (-part.size, -part.alone, part.repository, part.tag))
    rest = rows[LARGEST:]
    shared = sum(size_of(key) for key, count in holders.items() if count > 1)
    return UsageParts(rows[:LARGEST], len(rest), sum(part.alone for part in rest), shared)


def _layers(session: Session, survey: UsageScan, images: list[_Image]) -> list[SharedLayer]:
    """Return the largest layers of these images, with the tags that need them."""
    offered: set[bytes] = set()
    for image in images:
        offered |= image.blobs
    # The blobs include configs, which are left out later. They are small, so twice as many blobs
    # are enough.
    sizes = survey.sizes
    largest = heapq.nlargest(2 * LARGEST, offered, key=lambda key: (sizes[key], key))
    used: dict[bytes, list[tuple[_Image, Any]]] = {key: [] for key in largest}
    for image in images:
        wanted = image.blobs.intersection(largest)
        for tag in image.tags if wanted else ():
            packs = survey.packs(image, tag.digest)
            for key in wanted:
                if any(key in packed for packed in packs):
                    used[key].append((image, tag))
    described = _described(session, {key: survey.holder(used[key][0][0], key) for key in largest})
    return [
        SharedLayer(
            digest=described[key].digest,
            media_type=described[key].media_type,
            size=survey.sizes[key],
            images=len({image.id for image, _ in used[key]}),
            tags=len(used[key]),
            named=[(image.project, image.path, tag.name) for image, tag in used[key][:NAMED]],
        )
        for key in largest
        if key in described
    ][:LARGEST]


def _described(session: Session, holders: dict[bytes, str]) -> dict[bytes, Descriptor]:
    """Return the descriptors of layers, by blob key and with one query; configs are left out.

    Args:
        holders: for each blob key, the digest of a manifest that needs the blob.
    """
    query = select(Manifest).where(Manifest.digest.in_(set(holders.values())))
    rows = {row.digest: facts_of(row) for row in session.scalars(query)}
    found: dict[bytes, Descriptor] = {}
    for key, holder in holders.items():
        layers = rows[holder].layers if holder in rows else ()
        found |= {k: layer for layer in layers if (k := key_of(layer.digest)) == key}
    return found
