"""One manifest of a tag, as the page shows it: which platform, its layers and its config."""

from __future__ import annotations

from ...distribution.manifest import ImageConfig, ManifestFacts
from ...models import Manifest
from ..facts import facts_of
from .view import ConfigView, LayerView, PlatformView, TagView

MAX_RAW = 256 * 1024


def choose(
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


def show(view: TagView, manifest: Manifest) -> None:
    """Add layers, history and configuration of one image manifest."""
    facts = facts_of(manifest)
    stored = manifest.config_facts
    config = ImageConfig.from_json(stored) if stored else ImageConfig()
    if manifest.digest != view.digest:
        view.annotations = sorted(facts.annotations.items()) or view.annotations
        view.problems += facts.problems
        view.raw_manifest = printable(manifest.body)
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
        view.raw_config = printable(manifest.config)
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


def printable(body: bytes) -> str:
    """Return a document as it is stored, byte for byte, as far as a page can show it."""
    text = body[:MAX_RAW].decode("utf-8", "replace")
    return text + ("\n… cut off here" if len(body) > MAX_RAW else "")
