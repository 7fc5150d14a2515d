"""Words and addresses for the page that compares two references, ``from`` and ``to``.

Each public function is a filter or a global function of the templates. A side of the comparison is
one of the two references, with its image and manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from flask import url_for

from ..comparison.layers import ComparedLayer
from ..comparison.page import Comparison
from ..comparison.side import Side
from ..formatting import DASH, difference, short_digest
from .addresses import image_url
from .labels import Badge

_CHANGES = {
    "added": Badge("added", "good", "plus"),
    "removed": Badge("removed", "bad", "x"),
    "changed": Badge("changed", "warn", "refresh-cw"),
    "upgraded": Badge("upgraded", "good", "arrow-up"),
    "downgraded": Badge("downgraded", "warn", "arrow-down"),
}
_PRESENCES = {"both": "shared", "from": "gone", "to": "new"}


class _Change(Protocol):
    @property
    def kind(self) -> str: ...


ChangeT = TypeVar("ChangeT", bound=_Change)


def change_badge(kind: str) -> Badge:
    """Return the badge for a kind of change, such as ``added``; an unknown kind is the label."""
    return _CHANGES.get(kind, Badge(kind))


def without_unchanged(changes: Iterable[ChangeT]) -> list[ChangeT]:
    """Return the changes without those of the kind ``unchanged``."""
    return [change for change in changes if change.kind != "unchanged"]


def layer_presence(sides: str) -> str:
    """Return the word for a layer that is in ``both`` images, or only in ``from`` or ``to``."""
    return _PRESENCES[sides]


def layer_change(layer: ComparedLayer) -> str:
    """Return the signed size of a layer that only one image has; a dash if both images have it."""
    if layer.sides == "both":
        return DASH
    return difference(layer.size if layer.sides == "to" else -layer.size)


def versions(values: Sequence[str] | None) -> str | None:
    """Join the versions of a package in one image; None if the image does not have the package."""
    return ", ".join(values) if values else None


def side_name(side: Side) -> str:
    """Return a short name for a side: ``:tag``, or the short digest if the side has no tag."""
    return side.short if side.tag else short_digest(side.digest)


def side_suffix(side: Side) -> str:
    """Return the end of a side's short reference: ``:tag``, or ``@`` and the short digest."""
    return side.short if side.tag else f"@{short_digest(side.digest)}"


def side_problem(side: Side) -> str:
    """Return the message that the registry could not read the tag of a side, with the reason."""
    verb = "can't be read" if side.is_unreadable else "could not be read just now"
    return f"This tag {verb}: {side.error}. This is what was known last."


def side_url(side: Side) -> str:
    """Return the address of the tag's page for a side; of the image's page if there is no tag."""
    if side.tag:
        return image_url(side.project_path, side.image.name, "registry.tag", tag=side.tag)
    return image_url(side.project_path, side.image.name)


def swapped_url(comparison: Comparison) -> str:
    """Return the address of the same comparison with the sides swapped."""
    before, after = comparison.before, comparison.after
    sides: dict[str, Any] = {"from": after.reference, "to": before.reference}
    return url_for(
        "compare.show",
        **sides,
        from_platform=_chosen_platform(after),
        to_platform=_chosen_platform(before),
    )


def _chosen_platform(side: Side) -> str | None:
    """Return the key of the compared platform; None if the side has fewer than two platforms."""
    return side.chosen.key if side.chosen and len(side.platforms) > 1 else None


FILTERS = (
    change_badge,
    without_unchanged,
    layer_presence,
    layer_change,
    versions,
    side_name,
    side_suffix,
    side_problem,
)
HELPERS = (side_url, swapped_url)
