"""Comparison of two references, with the data that the comparison page shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..artifacts.sbom import packages_of
from ..distribution.image_config import ImageConfig
from .diff import Change, Group, LineRun, of_lines, of_pairs, of_sets
from .layers import LayerDiff, layer_diff
from .packages import PackageDiff, package_diff
from .side import Side, choose_platforms, same_platform


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two sides of a comparison and their differences.

    A field is None or empty if that part could not be compared. ``notes`` are sentences for the
    page about the limits of the comparison. ``identical`` compares the manifests of the references,
    and ``same_image`` compares the images of the chosen platforms.
    """

    before: Side
    after: Side
    notes: tuple[str, ...]
    layers: LayerDiff | None = None
    groups: tuple[Group, ...] = ()
    history: tuple[LineRun, ...] = ()
    packages: PackageDiff | None = None
    platforms: tuple[Change, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether both references have the same digest."""
        return self.before.digest == self.after.digest

    @property
    def same_image(self) -> bool:
        """Whether the compared images have the same digest, even if the references differ."""
        return bool(self.before.shown_digest) and (
            self.before.shown_digest == self.after.shown_digest
        )

    @property
    def growth(self) -> int | None:
        """The size of ``after`` minus the size of ``before``, in bytes; None if one is unknown."""
        old, new = self.before.size, self.after.size
        return None if old is None or new is None else new - old


def compare(before: Side, after: Side, platforms: tuple[str, str] = ("", "")) -> Comparison:
    """Compare two references, as far as their kinds of artifact allow.

    Args:
        before: the first side, as locate() returns it. Its manifest and platform are filled in.
        after: the second side, likewise.
        platforms: key of the requested platform of each side; "" to choose the same one on both.
    """
    choose_platforms((before, after), platforms)
    notes = tuple(_list_notes(before, after))
    if before.facts is None or after.facts is None:
        return Comparison(before, after, notes, platforms=_compare_platforms(before, after))
    return Comparison(
        before,
        after,
        notes,
        layers=layer_diff(before.facts, after.facts, before.config, after.config),
        groups=(
            *_compare_configs(before.config, after.config),
            Group(
                "Annotations",
                "Annotation",
                of_pairs(before.facts.annotations, after.facts.annotations),
            ),
        ),
        history=_compare_history(before.config, after.config),
        packages=_compare_packages(before, after),
        platforms=_compare_platforms(before, after),
    )


def _list_notes(before: Side, after: Side) -> Iterable[str]:
    kinds = before.compared_kind, after.compared_kind
    if before.facts and after.facts and kinds[0] != kinds[1]:
        first, second = (_add_article(kind) for kind in kinds)
        yield (
            f"{first.capitalize()} and {second}: parts, sizes and annotations are compared; "
            "they have nothing else in common."
        )
    elif before.facts and after.facts and kinds[0] != "image":
        yield f"Both are of the kind {kinds[0]}: parts, sizes and annotations are compared."
    old_platform, new_platform = before.platform, after.platform
    if old_platform and new_platform and not same_platform(old_platform, new_platform):
        yield f"Two different platforms are compared: {old_platform} and {new_platform}."


def _add_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _compare_platforms(before: Side, after: Side) -> tuple[Change, ...]:
    """Return the changes to the list of platforms; empty unless both sides are an OCI index."""
    if not (before.platforms and after.platforms):
        return ()
    old, new = ({p.label: p.label for p in side.platforms} for side in (before, after))
    return of_pairs(old, new)


def _compare_configs(old: ImageConfig | None, new: ImageConfig | None) -> Iterable[Group]:
    if old is None or new is None:
        return
    yield Group("Settings", "Setting", _compare_settings(old, new))
    yield Group("Environment", "Variable", of_pairs(dict(old.env), dict(new.env)))
    yield Group("Labels", "Label", of_pairs(dict(old.labels), dict(new.labels)))


def _compare_settings(old: ImageConfig, new: ImageConfig) -> tuple[Change, ...]:
    values = (
        ("Platform", old.platform, new.platform),
        ("Entrypoint", _format_command(old.entrypoint), _format_command(new.entrypoint)),
        ("Command", _format_command(old.cmd), _format_command(new.cmd)),
        ("User", old.user, new.user),
        ("Working directory", old.workdir, new.workdir),
    )
    changes = [
        Change(name, old_value or None, new_value or None) for name, old_value, new_value in values
    ]
    return (
        *(change for change in changes if change.before or change.after),
        *of_sets("Port", old.ports, new.ports),
        *of_sets("Volume", old.volumes, new.volumes),
    )


def _format_command(items: tuple[str, ...]) -> str:
    """Return a command as JSON, such as ``["nginx", "-g"]``; "" if it is empty."""
    return json.dumps(list(items), ensure_ascii=False) if items else ""


def _compare_history(old: ImageConfig | None, new: ImageConfig | None) -> tuple[LineRun, ...]:
    if old is None or new is None:
        return ()
    before, after = ([line.created_by for line in config.history] for config in (old, new))
    return tuple(of_lines(before, after))


def _compare_packages(before: Side, after: Side) -> PackageDiff | None:
    if before.config is None or after.config is None:
        return None
    old = packages_of(before.image, before.shown_digest)
    new = packages_of(after.image, after.shown_digest)
    return None if old is None or new is None else package_diff(old, new)
