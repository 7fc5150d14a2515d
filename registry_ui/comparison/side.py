"""One side of a comparison: a reference, its current digest, and its parsed manifest."""

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
    """A platform of an OCI index that can be chosen for the comparison.

    ``key`` names the platform in a URL: its label, or its digest if the label is empty or not
    unique. ``size`` is in bytes; None if it is not known.
    """

    key: str
    label: str
    digest: str
    size: int | None


@dataclass(slots=True)
class Side:
    """One side of a comparison: the manifest that a reference points to.

    ``manifest`` is the manifest of the tag or digest itself. ``facts`` and ``config`` describe the
    image that is compared; for an OCI index, this is the image of the ``chosen`` platform.
    ``error`` is the reason why ``digest`` can be outdated; None if the registry has confirmed it.
    ``is_unreadable`` means that the registry answered but can't read the manifest.
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
        """The full reference, without the host of the registry."""
        return f"{self.image.path}{self.short}"

    @property
    def short(self) -> str:
        """The part of the reference after the image: ``:tag``, or ``@digest`` without a tag."""
        return f":{self.tag}" if self.tag else f"@{self.digest}"

    @property
    def project_path(self) -> str:
        """The path of the project that owns the image."""
        name = self.image.name
        return self.image.path[: -len(name) - 1] if name else self.image.path

    @property
    def kind(self) -> str:
        """The kind of the referenced manifest, such as ``image``, ``index``, or ``chart``."""
        return self.manifest.kind if self.manifest else "unknown"

    @property
    def compared_kind(self) -> str:
        """The kind of the compared manifest: for an OCI index, that of the chosen platform."""
        return self.facts.kind if self.facts else "unknown"

    @property
    def size(self) -> int | None:
        """The size of the compared image in bytes; None if it is not known."""
        return self.facts.size if self.facts else None

    @property
    def built_at(self) -> datetime | None:
        """The build time that the image claims; None if it is not known."""
        return self.config.built_at if self.config else None

    @property
    def platform(self) -> str:
        """The label of the compared platform, such as ``linux/amd64``; "" if it is not known."""
        if self.chosen is not None:
            return self.chosen.label
        return self.config.platform if self.config else ""


def locate(image: ContainerImage, reference: Reference) -> Side:
    """Look up the current digest of a reference in the registry, and store its manifest.

    If the registry does not answer, the last known digest is used, and ``error`` is set.

    Args:
        image: the image of the reference. The caller must have checked the pull permission.
        reference: must have a tag or a digest; the digest takes precedence if it has both.

    Raises:
        NotFound: the registry has no such tag or digest; or the registry does not answer, and the
            database does not contain the tag or digest for this image.
    """
    tag = "" if reference.digest or reference.tag is None else str(reference.tag)
    name = tag or str(reference.digest)
    summary = ensure_fetched(reference.name, {name: None}, fresh=True)
    problem = summary.problems.get(name)
    if isinstance(problem, RegistryNotFound):
        raise NotFound("The registry has no such tag or digest.")
    row = db.session.scalar(select(Tag).where(Tag.image_id == image.id, Tag.name == tag))
    digest = summary.digests.get(name)
    error = None
    if digest is None:
        digest, error = _find_last_digest(image, row, reference), str(problem or "no answer")
    side = Side(image, tag, digest, error, is_unreadable=isinstance(problem, RegistryFault))
    if row is not None and row.digest == digest:
        side.pushed_at, side.pushed_by = row.pushed_at, row.pushed_by
    return side


def _find_last_digest(image: ContainerImage, row: Tag | None, reference: Reference) -> str:
    """Return the last known digest of a reference from the database.

    Args:
        row: the row of the tag; None if the reference has no tag or the tag is not known.

    Raises:
        NotFound: no digest is known, or the requested digest does not belong to this image.
    """
    if row is not None and row.digest is not None:
        return row.digest
    digest = str(reference.digest or "")
    query = select(Tag.id).where(Tag.image_id == image.id, Tag.digest == digest).limit(1)
    if digest and (db.session.scalar(query) or digests_in_repository(image.path, [digest])):
        return digest
    raise NotFound


def choose_platforms(sides: tuple[Side, Side], requested: tuple[str, str]) -> None:
    """Load both manifests, and choose the same platform on both sides if possible.

    The manifest, platform, facts, and config are stored in each side, and messages about problems
    are added to its ``problems``.

    Args:
        sides: the two sides, which are changed.
        requested: key of the requested platform of each side; "" for no request.
    """
    stored = stored_manifests(side.digest for side in sides)
    children_by_side = []
    for side in sides:
        side.manifest = stored.get(side.digest)
        child_manifests = children_of(side.image.path, [side.manifest]) if side.manifest else {}
        children_by_side.append(child_manifests)
        if side.manifest is None:
            side.problems.append("its manifest is not known here yet")
        elif side.manifest.kind == "index":
            side.platforms = _list_platforms(facts_of(side.manifest), child_manifests)
        else:
            _add_manifest(side, side.manifest)
    first, second = sides
    first.chosen = _choose_platform(first, requested[0] or second.platform)
    second.chosen = _choose_platform(second, requested[1] or first.platform)
    if not requested[0] and not same_platform(first.platform, second.platform):
        # No platform was requested for the first side, and its first choice does not match: try the
        # platform of the second side.
        first.chosen = _choose_platform(first, second.platform)
    for side, child_manifests in zip(sides, children_by_side, strict=True):
        if side.chosen is not None:
            _add_platform(side, side.chosen, child_manifests)


def _list_platforms(facts: ManifestFacts, children: dict[str, Manifest]) -> list[PlatformChoice]:
    counts = Counter(child.platform for child in facts.platforms)
    choices = []
    for child in facts.platforms:
        row = children.get(child.digest)
        is_unique = child.platform and counts[child.platform] == 1
        choices.append(
            PlatformChoice(
                key=child.platform if is_unique else child.digest,
                label=child.platform or UNNAMED,
                digest=child.digest,
                size=row.size if row else None,
            )
        )
    return choices


def _choose_platform(side: Side, requested: str) -> PlatformChoice | None:
    for platform in side.platforms:
        if requested in {platform.key, platform.digest}:
            return platform
    for platform in side.platforms:
        if same_platform(platform.label, requested):
            return platform
    return next(iter(side.platforms), None)


def same_platform(first_label: str, second_label: str) -> bool:
    """Return whether two labels mean the same platform: ``linux/arm64`` is ``linux/arm64/v8``."""
    return first_label.removesuffix("/v8") == second_label.removesuffix("/v8")


def _add_platform(side: Side, chosen: PlatformChoice, children: dict[str, Manifest]) -> None:
    row = children.get(chosen.digest)
    if row is None:
        side.problems.append(f"{chosen.label} is missing or could not be read")
        return
    _add_manifest(side, row)


def _add_manifest(side: Side, manifest: Manifest) -> None:
    side.shown_digest = manifest.digest
    side.facts = facts_of(manifest)
    side.problems += side.facts.problems
    side.config = image_config(manifest)
    if side.config is not None and side.config.problem:
        side.problems.append(f"its configuration: {side.config.problem}")
