"""One tag in full: what it points to, how it was made, what it will run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from ..distribution.errors import RegistryNotFound
from ..distribution.manifest import (
    HistoryLine,
    ImageConfig,
    ManifestFacts,
)
from ..errors import NotFound
from ..extensions import db, writing
from ..models import ContainerImage, Manifest, Tag, utc_now
from ..names import RepositoryName, TagName, is_binned
from ..storage import insert_new
from .facts import children_of, facts_of, gather
from .tags import TagRow, describe, fold, pull_command, subject_of

MAX_RAW = 256 * 1024


@dataclass(frozen=True, slots=True)
class PlatformView:
    """A child of an index. An attestation is shown apart: it is no platform."""

    digest: str
    label: str
    size: int | None
    selected: bool
    is_attestation: bool


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer, the step that made it, and its share of the whole (0 to 1)."""

    digest: str
    size: int
    media_type: str
    created_by: str
    share: float


@dataclass(slots=True)
class ConfigView:
    """An image configuration as the page prints it."""

    os: str
    architecture: str
    user: str
    workdir: str
    entrypoint: list[str]
    cmd: list[str]
    env: list[tuple[str, str]]
    ports: list[str]
    volumes: list[str]
    labels: list[tuple[str, str]]


@dataclass(slots=True)
class TagView(TagRow):
    """Everything that the page of one tag shows."""

    media_type: str = ""
    artifact_type: str = ""
    pull_by_digest: str = ""
    views: list[PlatformView] = field(default_factory=list)
    selected_digest: str = ""
    layers: list[LayerView] = field(default_factory=list)
    history: list[HistoryLine] = field(default_factory=list)
    config: ConfigView | None = None
    annotations: list[tuple[str, str]] = field(default_factory=list)
    raw_manifest: str = ""
    raw_config: str | None = None
    problems: list[str] = field(default_factory=list)
    referrers: list[tuple[str, str]] = field(default_factory=list)

    def leave_out_content(self) -> None:
        """Keep only what may be seen by someone who may not pull."""
        self.layers, self.history, self.config, self.annotations = [], [], None, []
        self.raw_manifest, self.raw_config = "", None


def tag_view(
    image: ContainerImage, name: TagName, platform: str, host: str
) -> tuple[TagView, datetime | None, str | None]:
    """Return a tag as the registry has it now, when that was, and the trouble if any.

    Args:
        platform: digest of the child of an index that is shown; "" for the first.

    Raises:
        NotFound: neither the registry nor, with the registry down, the index has it.
    """
    tag, fresh_at, error = _current(image, name)
    view = _base(image, tag, host)
    manifest = db.session.get(Manifest, tag.digest) if tag.digest else None
    if manifest is None:
        return view, fresh_at, error
    facts = facts_of(manifest)
    children = children_of(image.path, [manifest])
    describe(view, manifest, children)
    repository = f"{host}/{image.path}"
    view.pull_command = pull_command(view.kind, repository, tag.name)
    if view.kind in {"image", "index"}:
        view.pull_by_digest = f"docker pull {repository}@{tag.digest}"
    view.media_type, view.artifact_type = facts.media_type, facts.artifact_type
    view.problems = list(facts.problems)
    view.raw_manifest = _printable(manifest.body)
    view.annotations = sorted(facts.annotations.items())
    shown: Manifest | None = manifest
    if facts.kind == "index":
        shown = _choose(view, facts, children, platform)
    if shown is not None:
        _show(view, shown)
    return view, fresh_at, error


def _current(image: ContainerImage, name: TagName) -> tuple[Tag, datetime | None, str | None]:
    """Ask the registry what the tag is now, and make the index say the same."""
    if is_binned(str(name)):
        raise NotFound("The registry has no such tag.")
    started = utc_now()
    found = gather(RepositoryName(image.path), {str(name): None}, fresh=True)
    query = select(Tag).where(Tag.image_id == image.id, Tag.name == str(name))
    problem = found.problems.get(str(name))
    if isinstance(problem, RegistryNotFound):
        with writing() as session:
            gone = session.scalar(query)
            if gone is not None and gone.seen_at < started:
                session.delete(gone)
        raise NotFound("The registry has no such tag.")
    digest = found.digests.get(str(name))
    if problem is not None or digest is None:
        tag = db.session.scalar(query)
        if tag is None:
            raise NotFound("There is nothing here.")
        return tag, image.reconciled_at, str(problem)
    tag = db.session.scalar(query)
    if tag is None or tag.digest != digest:
        with writing() as session:
            insert_new(
                session, Tag, image_id=image.id, name=str(name), pull_count=0, seen_at=started
            )
            tag = session.scalars(query).one()
            if tag.digest not in (None, digest) and tag.seen_at < started:
                tag.pushed_at = tag.pushed_by = None
            tag.digest = digest
    return tag, started, None


def _base(image: ContainerImage, tag: Tag, host: str) -> TagView:
    name = f"{host}/{image.path}"
    view = TagView.of(tag)
    view.pull_command = pull_command("image", name, tag.name)
    if tag.digest:
        siblings = list(db.session.scalars(select(Tag).where(Tag.image_id == image.id)))
        folded, _ = fold(siblings)
        view.same_as = sorted(
            s.name for s in siblings if s.digest == tag.digest and s.name != tag.name
        )
        view.folded = sorted(folded.get(tag.digest, []))
        view.signed = any(name.endswith(".sig") for name in view.folded)
        view.referrers = [(name, _referrer_kind(name)) for name in view.folded]
    return view


def _referrer_kind(tag: str) -> str:
    kinds = {"sig": "signature", "att": "attestation", "sbom": "SBOM"}
    return kinds.get(tag.rpartition(".")[2], "referrers") if subject_of(tag) else "tag"


def _choose(
    view: TagView, facts: ManifestFacts, children: dict[str, Manifest], platform: str
) -> Manifest | None:
    """List the children of an index; return the one that is shown."""
    runnable = [child.digest for child in facts.children if not child.is_attestation]
    offered = {child.digest for child in facts.children}
    chosen = platform if platform in offered else next(iter(runnable), "")
    view.selected_digest = chosen
    for child in facts.children:
        row = children.get(child.digest)
        view.views.append(
            PlatformView(
                digest=child.digest,
                label=child.platform or "no platform named",
                size=row.size if row else None,
                selected=child.digest == chosen,
                is_attestation=child.is_attestation,
            )
        )
        if row is None:
            view.problems.append(f"{child.digest[:19]}… is missing or could not be read")
    return children.get(chosen)


def _show(view: TagView, manifest: Manifest) -> None:
    """Add layers, history and configuration of one image manifest."""
    facts = facts_of(manifest)
    stored = manifest.config_facts
    config = ImageConfig.from_json(stored) if stored else ImageConfig()
    if manifest.digest != view.digest:
        view.annotations = sorted(facts.annotations.items()) or view.annotations
        view.problems += facts.problems
        view.raw_manifest = _printable(manifest.body)
    if config.problem:
        view.problems.append(f"its configuration: {config.problem}")
    view.history = list(config.history)
    made_by = [line.created_by for line in config.history if not line.empty]
    total = sum(layer.size for layer in facts.layers)
    aligned = len(made_by) == len(facts.layers)
    view.layers = [
        LayerView(
            digest=layer.digest,
            size=layer.size,
            media_type=layer.media_type,
            created_by=made_by[number] if aligned else "",
            share=layer.size / total if total else 1 / len(facts.layers),
        )
        for number, layer in enumerate(facts.layers)
    ]
    if manifest.config:
        view.raw_config = _printable(manifest.config)
        view.config = ConfigView(
            os=config.os,
            architecture=config.platform.partition("/")[2],
            user=config.user,
            workdir=config.workdir,
            entrypoint=list(config.entrypoint),
            cmd=list(config.cmd),
            env=list(config.env),
            ports=list(config.ports),
            volumes=list(config.volumes),
            labels=list(config.labels),
        )


def _printable(body: bytes) -> str:
    """Return a document as it is stored, byte for byte, as far as a page can show it."""
    text = body[:MAX_RAW].decode("utf-8", "replace")
    return text + ("\n… cut off here" if len(body) > MAX_RAW else "")
