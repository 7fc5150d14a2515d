"""Layers that two images share, and the download size if a client already has one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..distribution.image_config import ImageConfig
from ..distribution.manifest import Descriptor, ManifestFacts
from .diff import ADDED, CHANGED, REMOVED, SAME, aligned

#: Values of ComparedLayer.sides: the side, or both sides, that have the layer.
FROM, TO, BOTH = "from", "to", "both"


@dataclass(frozen=True, slots=True)
class ComparedLayer:
    """A layer with its size in bytes; ``sides`` is FROM, TO, or BOTH.

    ``made_by`` is the build step that created the layer; "" if the history does not tell.
    """

    digest: str
    size: int
    made_by: str
    sides: str


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """The layers of two manifests, called *from* and *to*.

    ``rows`` has each layer once, in an order that fits both; ``before`` and ``after`` have the
    layers of each side in its own order. ``download_size`` is the number of bytes that a pull of
    *to* downloads if the client already has *from*.
    """

    rows: tuple[ComparedLayer, ...]
    before: tuple[ComparedLayer, ...]
    after: tuple[ComparedLayer, ...]
    download_size: int

    @property
    def shared(self) -> int:
        """The number of layers that both sides have."""
        return sum(row.sides == BOTH for row in self.rows)

    @property
    def added(self) -> int:
        """The number of layers that only *to* has."""
        return sum(row.sides == TO for row in self.rows)

    @property
    def removed(self) -> int:
        """The number of layers that only *from* has."""
        return sum(row.sides == FROM for row in self.rows)

    @property
    def base(self) -> int:
        """The number of equal layers at the start of both sides: their common base image."""
        pairs = zip(self.before, self.after, strict=False)
        count = 0
        for old_layer, new_layer in pairs:
            if old_layer.digest != new_layer.digest:
                break
            count += 1
        return count


def layer_diff(
    old: ManifestFacts,
    new: ManifestFacts,
    old_config: ImageConfig | None = None,
    new_config: ImageConfig | None = None,
) -> LayerDiff:
    """Compare the layers of two manifests.

    Args:
        old: facts of the first manifest (*from*).
        new: facts of the second manifest (*to*).
        old_config: config of the first manifest, which contains the build step of each layer;
            None if it is not known.
        new_config: config of the second manifest, likewise.
    """
    shared = {layer.digest for layer in old.layers} & {layer.digest for layer in new.layers}
    before = tuple(_compare_layers(old.layers, old_config, shared, FROM))
    after = tuple(_compare_layers(new.layers, new_config, shared, TO))
    return LayerDiff(tuple(_merge(before, after)), before, after, _download_size(old, new))


def _compare_layers(
    layers: Sequence[Descriptor], config: ImageConfig | None, shared: set[str], side: str
) -> Iterator[ComparedLayer]:
    build_steps = (config or ImageConfig()).made_by(len(layers))
    for layer, step in zip(layers, build_steps, strict=True):
        yield ComparedLayer(
            layer.digest, layer.size, step, BOTH if layer.digest in shared else side
        )


def _merge(
    before: tuple[ComparedLayer, ...], after: tuple[ComparedLayer, ...]
) -> Iterator[ComparedLayer]:
    seen_digests: set[str] = set()
    old_digests, new_digests = [b.digest for b in before], [a.digest for a in after]
    for kind, old, new in aligned(old_digests, new_digests):
        layers: list[ComparedLayer] = []
        if kind in {SAME, REMOVED, CHANGED}:
            layers += before[old]
        if kind in {ADDED, CHANGED}:
            layers += after[new]
        for layer in layers:
            if layer.digest not in seen_digests:
                seen_digests.add(layer.digest)
                yield layer


def _download_size(old: ManifestFacts, new: ManifestFacts) -> int:
    old_digests = {blob.digest for blob in old.blobs}
    new_sizes = {blob.digest: blob.size for blob in new.blobs if blob.digest not in old_digests}
    return sum(new_sizes.values())
