"""One side of a comparison: what a reference stands for now, and what the store knows of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from ..db.session import db
from ..distribution.errors import RegistryFault, RegistryNotFound
from ..distribution.image_config import ImageConfig
from ..distribution.manifest import ManifestFacts
from ..errors import NotFound
from ..manifests.store import (
    children_of,
    digests_in_repository,
    ensure_fetched,
    facts_of,
    image_config,
    stored_manifests,
)
from ..models import ContainerImage, Manifest, Tag
from ..names import Reference

UNNAMED = "no platform named"


@dataclass(frozen=True, slots=True)
class PlatformChoice:
    """A platform of an index.

    ``key`` names it in an address: its label, or its digest where several are labelled so.
    """

    key: str
    label: str
    digest: str
    size: int | None


@dataclass(slots=True)
class Side:
    """What one reference stands for.

    ``manifest`` is what the tag or digest is; ``facts`` and ``config`` are those of the image
    that is compared: of the chosen platform, where there are several. ``error`` says why it may
    not be live; ``is_unreadable`` that the registry answered, and can't read it.
    """

    image: ContainerImage
    tag: str
    digest: str
    error: str | None = None
    is_unreadable: bool = False
    pushed_at: datetime | None = None
    pushed_by: str | None = None
    manifest: Manifest | None = None
    platforms: list[PlatformChoice] = field(default_factory=list)
    chosen: PlatformChoice | None = None
    shown_digest: str = ""
    facts: ManifestFacts | None = None
    config: ImageConfig | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def reference(self) -> str:
        """The whole reference, without the host."""
        return f"{self.image.path}{self.short}"

    @property
    def short(self) -> str:
        """What follows the image's name in the reference."""
        return f":{self.tag}" if self.tag else f"@{self.digest}"

    @property
    def project_path(self) -> str:
        """The path of the project that owns the image."""
        name = self.image.name
        return self.image.path[: -len(name) - 1] if name else self.image.path

    @property
    def kind(self) -> str:
        """Image, index, chart …: of the tag itself."""
        return self.manifest.kind if self.manifest else "unknown"

    @property
    def compared_kind(self) -> str:
        """The kind of what is compared: of an index, its chosen platform."""
        return self.facts.kind if self.facts else "unknown"

    @property
    def size(self) -> int | None:
        """Bytes to pull."""
        return self.facts.size if self.facts else None

    @property
    def built_at(self) -> datetime | None:
        """When the image says that it was built."""
        return self.config.built_at if self.config else None

    @property
    def platform(self) -> str:
        """The platform that is compared, in words, or ""."""
        if self.chosen is not None:
            return self.chosen.label
        return self.config.platform if self.config else ""


def locate(image: ContainerImage, reference: Reference) -> Side:
    """Ask the registry what a reference of an image stands for now; see that its facts are known.

    Args:
        image: the caller has asked for the pull right.
        reference: with a tag or a digest; the digest counts.

    Raises:
        NotFound: the registry has no such tag or digest or, where it does not answer, the
            index knows of none.
    """
    tag = "" if reference.digest or reference.tag is None else str(reference.tag)
    name = tag or str(reference.digest)
    found = ensure_fetched(reference.name, {name: None}, fresh=True)
    problem = found.problems.get(name)
    if isinstance(problem, RegistryNotFound):
        raise NotFound("The registry has no such tag or digest.")
    row = db.session.scalar(select(Tag).where(Tag.image_id == image.id, Tag.name == tag))
    digest = found.digests.get(name)
    error = None
    if digest is None:
        digest, error = _last_known(image, row, reference), str(problem or "no answer")
    side = Side(image, tag, digest, error, is_unreadable=isinstance(problem, RegistryFault))
    if row is not None and row.digest == digest:
        side.pushed_at, side.pushed_by = row.pushed_at, row.pushed_by
    return side


def _last_known(image: ContainerImage, row: Tag | None, reference: Reference) -> str:
    """Return the digest that the index has; a digest that was asked for must be this image's."""
    if row is not None and row.digest is not None:
        return row.digest
    digest = str(reference.digest or "")
    query = select(Tag.id).where(Tag.image_id == image.id, Tag.digest == digest).limit(1)
    if digest and (db.session.scalar(query) or digests_in_repository(image.path, [digest])):
        return digest
    raise NotFound


def choose_platforms(sides: tuple[Side, Side], wanted: tuple[str, str]) -> None:
    """Read both manifests and choose what is compared: the same platform, as far as both have it.

    Args:
        wanted: the keys of platforms that were asked for, or "".
    """
    stored = stored_manifests(side.digest for side in sides)
    children = []
    for side in sides:
        side.manifest = stored.get(side.digest)
        found = children_of(side.image.path, [side.manifest]) if side.manifest else {}
        children.append(found)
        if side.manifest is None:
            side.problems.append("its manifest is not known here yet")
        elif side.manifest.kind == "index":
            side.platforms = _platforms(facts_of(side.manifest), found)
        else:
            _show(side, side.manifest)
    first, second = sides
    first.chosen = _chosen(first, wanted[0] or second.platform)
    second.chosen = _chosen(second, wanted[1] or first.platform)
    if not wanted[0] and not same_platform(first.platform, second.platform):
        # Neither was asked for: the first platform of one may be the third of the other.
        first.chosen = _chosen(first, second.platform)
    for side, found in zip(sides, children, strict=True):
        if side.chosen is not None:
            _show_chosen(side, side.chosen, found)


def _platforms(facts: ManifestFacts, children: dict[str, Manifest]) -> list[PlatformChoice]:
    count = Counter(child.platform for child in facts.platforms)
    found = []
    for child in facts.platforms:
        row = children.get(child.digest)
        alone = child.platform and count[child.platform] == 1
        found.append(
            PlatformChoice(
                key=child.platform if alone else child.digest,
                label=child.platform or UNNAMED,
                digest=child.digest,
                size=row.size if row else None,
            )
        )
    return found


def _chosen(side: Side, wanted: str) -> PlatformChoice | None:
    for platform in side.platforms:
        if wanted in {platform.key, platform.digest}:
            return platform
    for platform in side.platforms:
        if same_platform(platform.label, wanted):
            return platform
    return next(iter(side.platforms), None)


def same_platform(one: str, other: str) -> bool:
    """Whether two labels mean one platform: ``linux/arm64`` is ``linux/arm64/v8``."""
    return one.removesuffix("/v8") == other.removesuffix("/v8")


def _show_chosen(side: Side, chosen: PlatformChoice, children: dict[str, Manifest]) -> None:
    row = children.get(chosen.digest)
    if row is None:
        side.problems.append(f"{chosen.label} is missing or could not be read")
        return
    _show(side, row)


def _show(side: Side, manifest: Manifest) -> None:
    side.shown_digest = manifest.digest
    side.facts = facts_of(manifest)
    side.problems += side.facts.problems
    side.config = image_config(manifest)
    if side.config is not None and side.config.problem:
        side.problems.append(f"its configuration: {side.config.problem}")
