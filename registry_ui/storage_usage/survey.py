"""What takes the room in the registry: of a namespace by project, of a project by image, by tag.

A blob counts once wherever it stands. What an image has alone is what its removal would
free, as far as the scope tells: another project that has the same layer keeps it.
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

#: So many parts and layers are listed; the rest is counted together.
LARGEST = 20
#: So many tags of a layer are named.
NAMED = 3


@dataclass(frozen=True, slots=True)
class UsagePart:
    """A project, an image or a tag: the bytes it needs, and those that nothing else here has."""

    project: str
    repository: str
    tag: str
    tags: int
    size: int
    alone: int

    @property
    def name(self) -> str:
        """The image's name below its project."""
        return self.repository[len(self.project) + 1 :]


@dataclass(frozen=True, slots=True)
class SharedLayer:
    """A layer, how large it is, and which tags need it: ``(project, repository, tag)``."""

    digest: str
    media_type: str
    size: int
    images: int
    tags: int
    named: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class UsageParts:
    """The largest parts, and what the smaller ones are together."""

    rows: list[UsagePart]
    more: int
    more_alone: int
    shared: int

    @property
    def pieces(self) -> list[tuple[str, int, str]]:
        """What adds up to the whole, for a picture: words, bytes, and the row's number.

        In place of a number stands ``rest`` for the smaller parts and ``shared``.
        """
        found = [(r.tag or r.repository, r.alone, str(n)) for n, r in enumerate(self.rows)]
        found += [("the smaller ones", self.more_alone, "rest"), ("shared", self.shared, "shared")]
        return [piece for piece in found if piece[1]]


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """What a scope takes.

    ``size`` counts each blob once. Of ``tags`` the contents of ``stored_manifests`` are known.
    ``fresh_at`` is when the image was compared with the registry that waits longest.
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
    """An image while it is added up: its rows of tags, and what they need."""

    id: int
    path: str
    project: str
    project_id: int
    reconciled_at: datetime | None
    tags: list[Any] = field(default_factory=list)
    blobs: set[bytes] = field(default_factory=set)


class UsageScan:
    """The images of a scope with what the store knows of their tags, by three queries.

    Args:
        scope: matches the images, joined with their projects.
    """

    def __init__(self, session: Session, scope: ColumnElement[bool]) -> None:
        self.sizes: dict[bytes, int] = {}
        #: Manifests by image and digest, as far as the image was seen to hold them.
        self._held: dict[int, dict[str, tuple[bytes, str]]] = defaultdict(dict)
        self.images = self._read_images(session, scope)
        self._read_tags(session, scope)
        self._read_children(session, scope)
        self.known = {(i.id, tag.name) for i in self.images.values() for tag in self._add(i)}

    def unknown(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield repository, tag and digest of what must be read to know all."""
        for image in self.images.values():
            for tag in image.tags:
                if (image.id, tag.name) not in self.known:
                    yield image.path, tag.name, tag.digest

    def holder(self, image: _Image, blob: bytes) -> str:
        """Return the digest of a manifest of an image that has this blob."""
        held = self._held[image.id].items()
        return next(digest for digest, (packed, _) in held if blob in packed)

    def packs(self, image: _Image, digest: str | None) -> list[bytes]:
        """Return the packed blobs of a manifest and of those that it names."""
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
                continue  # it came in between the two queries
            image.tags.append(row)
            if row.blobs is not None:
                # What a tag stands for needs no proof that the image holds it.
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
        """Add up an image; yield those of its tags of which all is known."""
        complete: dict[str | None, bool] = {}
        counted: set[str | None] = set()
        for tag in image.tags:
            if tag.digest not in complete:
                if tag.children == "":  # most have none, and cost half as much this way
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
        """Return a manifest with what it names, and whether nothing of that is missing.

        ``pluralize`` are digests whose blobs are not wanted again; it grows.
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
    """Add up a survey.

    Args:
        by: ``project``, ``image`` or ``tag``: what the scope is parted into.
        open_projects: whose layers may be shown, by id: the contents of images need
            the pull right.
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
    """Return the largest parts with what each has alone."""
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
    """Return the largest layers of these images, and what needs them."""
    offered: set[bytes] = set()
    for image in images:
        offered |= image.blobs
    # Configs are no layers; they are small, so twice as many are enough.
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
    """Return what manifests say of their layers, by one query; configs are left out."""
    query = select(Manifest).where(Manifest.digest.in_(set(holders.values())))
    rows = {row.digest: facts_of(row) for row in session.scalars(query)}
    found: dict[bytes, Descriptor] = {}
    for key, holder in holders.items():
        layers = rows[holder].layers if holder in rows else ()
        found |= {k: layer for layer in layers if (k := key_of(layer.digest)) == key}
    return found
