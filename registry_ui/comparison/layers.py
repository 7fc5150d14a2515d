"""Layers that two images share, and the download size if a client already has one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..distribution.image_config import ImageConfig
from ..distribution.manifest import Descriptor, ManifestFacts
from .diff import ADDED, CHANGED, REMOVED, SAME, aligned

#: Values of ComparedLayer.where: the side, or both sides, that have the layer.
FROM, TO, BOTH = "from", "to", "both"


@dataclass(frozen=True, slots=True)
class ComparedLayer:
    """A layer, the sides that have it, and the build step that made it, if the history tells."""

    digest: str
    size: int
    made_by: str
    where: str


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """The layers of two manifests, called *from* and *to*.

    ``rows`` has each layer once, in an order that fits both; ``before`` and ``after`` have the
    layers of each side in its own order. ``fetched`` is the number of bytes that a pull of *to*
    downloads if the client already has *from*.
    """

    rows: tuple[ComparedLayer, ...]
    before: tuple[ComparedLayer, ...]
    after: tuple[ComparedLayer, ...]
    fetched: int

    @property
    def shared(self) -> int:
        """The number of layers that both sides have."""
        return sum(row.where == BOTH for row in self.rows)

    @property
    def new(self) -> int:
        """The number of layers that only *to* has."""
        return sum(row.where == TO for row in self.rows)

    @property
    def gone(self) -> int:
        """The number of layers that only *from* has."""
        return sum(row.where == FROM for row in self.rows)

    @property
    def base(self) -> int:
        """The number of equal layers with which both begin: their common base image."""
        pairs = zip(self.before, self.after, strict=False)
        count = 0
        for one, other in pairs:
            if one.digest != other.digest:
                break
            count += 1
        return count


def layer_diff(
    old: ManifestFacts,
    new: ManifestFacts,
    old_config: ImageConfig | None = None,
    new_config: ImageConfig | None = None,
) -> LayerDiff:
    """Compare the layers of two manifests; the configs, if given, tell which step made each one."""
    shared = {layer.digest for layer in old.layers} & {layer.digest for layer in new.layers}
    before = tuple(_layers(old.layers, old_config, shared, FROM))
    after = tuple(_layers(new.layers, new_config, shared, TO))
    return LayerDiff(tuple(_merged(before, after)), before, after, _fetched(old, new))


def _layers(
    layers: Sequence[Descriptor], config: ImageConfig | None, shared: set[str], where: str
) -> Iterator[ComparedLayer]:
    made_by = (config or ImageConfig()).made_by(len(layers))
    for layer, step in zip(layers, made_by, strict=True):
        yield ComparedLayer(
            layer.digest, layer.size, step, BOTH if layer.digest in shared else where
        )


def _merged(
    before: tuple[ComparedLayer, ...], after: tuple[ComparedLayer, ...]
) -> Iterator[ComparedLayer]:
    seen: set[str] = set()
    old_digests, new_digests = [b.digest for b in before], [a.digest for a in after]
    for what, old, new in aligned(old_digests, new_digests):
        found: list[ComparedLayer] = []
        if what in {SAME, REMOVED, CHANGED}:
            found += before[old]
        if what in {ADDED, CHANGED}:
            found += after[new]
        for layer in found:
            if layer.digest not in seen:
                seen.add(layer.digest)
                yield layer


def _fetched(old: ManifestFacts, new: ManifestFacts) -> int:
    there = {blob.digest for blob in old.blobs}
    wanted = {blob.digest: blob.size for blob in new.blobs if blob.digest not in there}
    return sum(wanted.values())
