"""Compute the storage usage of a scope: a namespace, a project, or an image.

A scope is divided into parts: a namespace into projects or images, a project into images, and an
image into tags. A blob counts once, even if several manifests need it. The removal of a part frees
the blobs that no other part needs, unless an image outside the scope needs them.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
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
from .usage import SharedLayer, UsagePart, UsageParts, UsageSummary

#: Maximum number of parts and of layers that are listed; the remaining parts are added up.
MAX_LISTED = 20
#: Maximum number of tags that are listed for a layer.
PREVIEW_LIMIT = 3


@dataclass(slots=True)
class _Image:
    """An image with the rows of its tags and the keys of their blobs (see manifests/blobs.py)."""

    id: int
    path: str
    project: str
    project_id: int
    reconciled_at: datetime | None
    tags: list[Any] = field(default_factory=list)
    blobs: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a scope, with the number of its tags and the keys of its blobs."""

    project: str
    repository: str
    tag: str
    tags: int
    blobs: set[bytes]


class UsageScan:
    """The images of a scope and the stored contents of their tags, loaded with three queries.

    Args:
        session: the database session.
        scope: SQL condition on ContainerImage and Project that selects the images.

    Attributes:
        sizes: size in bytes of each blob, by key.
        images: the images by ID.
        known: image ID and name of each tag whose contents are completely stored.
    """

    def __init__(self, session: Session, scope: ColumnElement[bool]) -> None:
        self.sizes: dict[bytes, int] = {}
        #: Packed blobs and children of manifests, by image ID and digest. A manifest is included
        #: only if the image is known to contain it.
        self._contents: dict[int, dict[str, tuple[bytes, str]]] = defaultdict(dict)
        self.images = self._read_images(session, scope)
        self._read_tags(session, scope)
        self._read_children(session, scope)
        self.analyzed = {(i.id, tag.name) for i in self.images.values() for tag in self._add_up(i)}

    def list_unread(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield each tag whose contents are unknown: repository, name, and digest or None."""
        for image in self.images.values():
            for tag in image.tags:
                if (image.id, tag.name) not in self.analyzed:
                    yield image.path, tag.name, tag.digest

    def manifest_of(self, image: _Image, blob: bytes) -> str:
        """Return the digest of one manifest of an image that needs the blob with this key."""
        contents = self._contents[image.id].items()
        return next(digest for digest, (packed, _) in contents if blob in packed)

    def packed_blobs(self, image: _Image, digest: str | None) -> list[bytes]:
        """Return the packed blobs of a manifest and of each manifest below it, as a list."""
        packed, children = self._contents[image.id].get(digest or "", (b"", ""))
        if not children:
            return [packed]
        return [packed for packed, _ in self._collect(image.id, digest)[0]]

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
                # The tag itself proves that the image contains the manifest.
                self._contents[row.image_id][row.digest] = (row.blobs, row.children)

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
            self._contents[row.image_id][row.digest] = (row.blobs, row.children)

    def _add_up(self, image: _Image) -> Iterator[Any]:
        """Collect the blobs of an image, and yield its tags with completely stored contents."""
        complete: dict[str | None, bool] = {}
        counted: set[str | None] = set()
        for tag in image.tags:
            if tag.digest not in complete:
                if tag.children == "":  # Most tags have no children, and this way is twice as fast.
                    contents, complete[tag.digest] = [(tag.blobs, "")], True
                else:
                    contents, complete[tag.digest] = self._collect(image.id, tag.digest, counted)
                for packed, _ in contents:
                    blobs = unpack(packed)
                    self.sizes.update(blobs)
                    image.blobs.update(blobs)
            if complete[tag.digest]:
                yield tag

    def _collect(
        self, image_id: int, digest: str | None, counted: set[str | None] | None = None
    ) -> tuple[list[tuple[bytes, str]], bool]:
        """Return the contents of a manifest and of all manifests below it.

        Args:
            image_id: the ID of the image that must contain the manifests.
            digest: the digest of the top manifest.
            counted: digests whose contents are left out, because an earlier call returned them;
                the digests of the returned contents are added to the set.

        Returns:
            The packed blobs and children of each manifest; and whether all manifests are stored.
        """
        stored_contents, level, is_complete = self._contents[image_id], {digest}, True
        counted = set() if counted is None else counted
        visited: set[str | None] = set()
        contents = []
        for _ in range(MAX_DEPTH + 1):
            children: set[str | None] = set()
            for child in level - visited:
                row = stored_contents.get(child or "")
                if row is None:
                    is_complete = False
                    continue
                children.update(row[1].split())
                if child in counted:
                    continue
                contents.append(row)
                counted.add(child)
            visited |= level
            level = children
        return contents, is_complete


def summarize_usage(
    session: Session,
    scan: UsageScan,
    *,
    by: str,
    open_projects: set[int],
) -> UsageSummary:
    """Return the storage usage of a scope, with its largest parts and layers.

    Args:
        session: the database session.
        scan: the images of the scope.
        by: the parts into which the scope is divided: ``project``, ``image``, or ``tag``.
        open_projects: IDs of the projects whose layers are shown, because the user who views the
            page can pull from them.
    """
    images = list(scan.images.values())
    readable = [image for image in images if image.project_id in open_projects]
    times = [image.reconciled_at for image in images]
    parts = _divide_by_tag(scan, images) if by == "tag" else _divide_by_image(images)
    return UsageSummary(
        size=sum(scan.sizes.values()),
        tags=sum(len(image.tags) for image in images),
        analyzed=len(scan.analyzed),
        images=len(images),
        fresh_at=None if None in times else min(filter(None, times), default=None),
        projects=_compute_usage(scan, _divide_by_project(images)) if by == "project" else None,
        largest=_compute_usage(scan, parts),
        layers=_list_largest_layers(session, scan, readable),
    )


def _divide_by_project(images: list[_Image]) -> list[_Part]:
    blobs: dict[str, set[bytes]] = defaultdict(set)
    tags: Counter[str] = Counter()
    for image in images:
        blobs[image.project] |= image.blobs
        tags[image.project] += len(image.tags)
    return [_Part(path, path, "", tags[path], blobs[path]) for path in blobs]


def _divide_by_image(images: list[_Image]) -> list[_Part]:
    return [_Part(i.project, i.path, "", len(i.tags), i.blobs) for i in images]


def _divide_by_tag(scan: UsageScan, images: list[_Image]) -> list[_Part]:
    return [
        _Part(
            project=image.project,
            repository=image.path,
            tag=tag.name,
            tags=1,
            blobs={
                key for packed in scan.packed_blobs(image, tag.digest) for key in unpack(packed)
            },
        )
        for image in images
        for tag in image.tags
    ]


def _compute_usage(scan: UsageScan, parts: list[_Part]) -> UsageParts:
    """Return the largest parts, each with the size of the blobs that no other part needs."""
    needed_by: Counter[bytes] = Counter()
    for part in parts:
        needed_by.update(part.blobs)
    size_of = scan.sizes.__getitem__
    rows = [
        UsagePart(
            project=part.project,
            repository=part.repository,
            tag=part.tag,
            tags=part.tags,
            size=sum(map(size_of, part.blobs)),
            alone=sum(size_of(key) for key in part.blobs if needed_by[key] == 1),
        )
        for part in parts
    ]
    rows.sort(key=lambda row: (-row.size, -row.alone, row.repository, row.tag))
    rest = rows[MAX_LISTED:]
    shared = sum(size_of(key) for key, count in needed_by.items() if count > 1)
    return UsageParts(rows[:MAX_LISTED], len(rest), sum(row.alone for row in rest), shared)


def _list_largest_layers(
    session: Session, scan: UsageScan, images: list[_Image]
) -> list[SharedLayer]:
    """Return the largest layers of some images, with the tags that need each layer."""
    candidates: set[bytes] = set()
    for image in images:
        candidates |= image.blobs
    # The blobs include configs, which are left out later. Configs are small, so twice as many
    # blobs as listed layers are enough.
    sizes = scan.sizes
    largest = heapq.nlargest(2 * MAX_LISTED, candidates, key=lambda key: (sizes[key], key))
    tags_by_blob: dict[bytes, list[tuple[_Image, Any]]] = {key: [] for key in largest}
    for image in images:
        image_blobs = image.blobs.intersection(largest)
        for tag in image.tags if image_blobs else ():
            packed_blobs = scan.packed_blobs(image, tag.digest)
            for key in image_blobs:
                if any(key in blobs for blobs in packed_blobs):
                    tags_by_blob[key].append((image, tag))
    manifests = {key: scan.manifest_of(tags[0][0], key) for key, tags in tags_by_blob.items()}
    descriptors = _fetch_descriptors(session, manifests)
    return [
        SharedLayer(
            digest=descriptors[key].digest,
            media_type=descriptors[key].media_type,
            size=scan.sizes[key],
            images=len({image.id for image, _ in tags_by_blob[key]}),
            tags=len(tags_by_blob[key]),
            examples=[
                (image.project, image.path, tag.name)
                for image, tag in tags_by_blob[key][:PREVIEW_LIMIT]
            ],
        )
        for key in largest
        if key in descriptors
    ][:MAX_LISTED]


def _fetch_descriptors(session: Session, digests: dict[bytes, str]) -> dict[bytes, Descriptor]:
    """Return the descriptors of layers by blob key (one query); configs are left out.

    Args:
        digests: for each blob key, the digest of a manifest that needs the blob.
    """
    query = select(Manifest).where(Manifest.digest.in_(set(digests.values())))
    rows = {row.digest: facts_of(row) for row in session.scalars(query)}
    descriptors: dict[bytes, Descriptor] = {}
    for key, digest in digests.items():
        layers = rows[digest].layers if digest in rows else ()
        for layer in layers:
            if key_of(layer.digest) == key:
                descriptors[key] = layer
    return descriptors
