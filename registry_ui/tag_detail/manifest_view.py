"""View of one manifest of a tag: the selected platform, its layers, and its config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..distribution.chart import Chart
from ..distribution.errors import CallBudgetSpent, RegistryNotFound
from ..distribution.image_config import ImageConfig
from ..distribution.manifest import Descriptor, ManifestFacts
from ..enumerations import name_first
from ..manifests.store import facts_of, image_config
from ..models import Manifest
from ..names import RepositoryName
from ..page_call_budget import unreadable
from ..tags.rows import label_platforms
from .dockerfile import reconstruct
from .labels import labeled
from .pretty_json import pretty_print
from .view_models import ConfigView, FileView, LayerView, PlatformView, TagView

#: Maximum number of digests named in a message.
PREVIEW_LIMIT = 3
MISSING = "missing from the registry: {}"
UNREADABLE = "the registry can't read {}"
NOT_READ = "not read yet: {}"
NO_SUCH_PLATFORM = "{}… is not among the platforms shown here, so you see the first one"


def choose(
    view: TagView, facts: ManifestFacts, children: dict[str, Manifest], platform: str
) -> Manifest | None:
    """Add the children of an OCI index to the view, and return the manifest of the selected one.

    Args:
        view: the view to change.
        facts: facts of the index.
        children: stored children of the index, by digest.
        platform: digest of the requested child. If it is "" or not in the index, the first
            platform is selected.

    Returns:
        The manifest, or None if it is not stored.
    """
    digests = {child.digest for child in facts.children}
    chosen = platform if platform in digests else facts.first_platform
    if platform and platform not in digests:
        view.problems.append(NO_SUCH_PLATFORM.format(platform[:19]))
    view.selected_digest = chosen
    labels = dict(zip(facts.platforms, label_platforms(facts.platforms), strict=True))
    for child in facts.children:
        row = children.get(child.digest)
        view.views.append(
            PlatformView(
                digest=child.digest,
                label=labels.get(child, child.platform),
                size=row.size if row else None,
                selected=child.digest == chosen,
                is_attestation=child.is_attestation,
            )
        )
    return children.get(chosen)


def explain_unread(
    repository: str, facts: ManifestFacts, children: Mapping[str, Manifest]
) -> list[str]:
    """Return messages about children of an OCI index that can't be shown: one for each reason."""
    child_digests = (child.digest for child in facts.children)
    missing = list(dict.fromkeys(digest for digest in child_digests if digest not in children))
    reasons = unreadable(RepositoryName(repository), missing)
    groups: dict[str, list[str]] = {MISSING: [], UNREADABLE: [], NOT_READ: []}
    for digest in missing:
        problem = reasons.get(digest)
        if isinstance(problem, RegistryNotFound):
            groups[MISSING].append(digest)
        elif problem is None or isinstance(problem, CallBudgetSpent):
            groups[NOT_READ].append(digest)
        else:
            groups[UNREADABLE].append(digest)
    return [
        reason.format(name_first([f"{digest[:19]}…" for digest in digests], PREVIEW_LIMIT))
        for reason, digests in groups.items()
        if digests
    ]


def show(view: TagView, manifest: Manifest) -> None:
    """Add the contents of a manifest to the view: layers and config, a Helm chart, or files."""
    facts = facts_of(manifest)
    if manifest.digest != view.digest:
        if facts.annotations:
            view.annotations = labeled(facts.annotations.items())
            view.annotations_total = facts.annotations_total
        view.problems += facts.problems
        view.raw_manifest = pretty_print(manifest.body)
    if manifest.config:
        view.raw_config = pretty_print(manifest.config)
    if facts.kind == "chart":
        _add_chart(view, manifest)
    config = image_config(manifest)
    if config is not None and config.problem:
        view.problems.append(f"its configuration: {config.problem}")
    if facts.kind == "image":
        _add_layers(view, facts, config or ImageConfig())
        view.dockerfile = reconstruct(config or ImageConfig())
        view.config_unreadable = config is not None and not config.is_readable
        if config is not None and config.is_readable:
            view.config = _build_config_view(config)
    elif not view.blobs:
        # A signature can have an image config, too, but can't be run, so show its files.
        view.files = file_views(facts.layers)


def file_views(blobs: Iterable[Descriptor], *, sized: bool = True) -> list[FileView]:
    """Return a table row for each blob of a manifest.

    Args:
        blobs: descriptors of the blobs.
        sized: whether the manifest states the sizes of its blobs.
    """
    return [FileView(b.title, b.media_type, b.digest, b.size if sized else None) for b in blobs]


def _add_chart(view: TagView, manifest: Manifest) -> None:
    if manifest.config_facts is None:
        return
    view.chart = Chart.from_json(manifest.config_facts)
    if view.chart.problem:
        view.problems.append(f"its configuration: {view.chart.problem}")


def _add_layers(view: TagView, facts: ManifestFacts, config: ImageConfig) -> None:
    """Add the layers to the view, each with its history step if there is one step per layer."""
    view.history = list(config.history)
    made_by = config.made_by(len(facts.layers))
    total = sum(layer.size for layer in facts.layers)
    view.layers = [
        LayerView(
            digest=layer.digest,
            size=layer.size,
            media_type=layer.media_type,
            created_by=step,
            share=layer.size / total if total else 1 / len(facts.layers),
        )
        for layer, step in zip(facts.layers, made_by, strict=True)
    ]


def _build_config_view(config: ImageConfig) -> ConfigView:
    return ConfigView(
        os=config.os,
        architecture=config.platform.partition("/")[2],
        user=config.user,
        workdir=config.workdir,
        entrypoint=list(config.entrypoint),
        cmd=list(config.cmd),
        env=list(config.env),
        ports=list(config.ports),
        volumes=list(config.volumes),
        labels=labeled(config.labels),
        labels_total=max(config.labels_total, len(config.labels)),
    )
