"""Layout of bar and column charts in SVG. Coordinates are in units of the viewBox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..activity.entries import Day
from ..comparison.layers import ComparedLayer, LayerDiff
from ..formatting import day_name, size
from ..storage_usage.usage import UsageParts
from ..tag_detail.view_models import LayerView

_BAR_WIDTH = 1000
_MIN_SEGMENT_WIDTH = 2
#: Maximum width of the viewBox of a layer bar, for an image 1000 times smaller than the other one.
_MAX_WIDTH = 1_000_000
_TONE_COUNT = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a horizontal bar: its left edge and its width."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class LabeledSegment:
    """One piece of a horizontal bar, with the CSS class for its color and a title (tooltip)."""

    x: float
    width: float
    css_class: str
    title: str


@dataclass(frozen=True, slots=True)
class LayerBar:
    """A bar for the layers of one of two compared images, both drawn to the same scale.

    Attributes:
        title: name of the image's side, From or To.
        layers: number of layers.
        size: total size of the layers in bytes.
        width: width of the viewBox. The smaller image gets a wider viewBox, so that its segments
            look shorter.
        segments: one segment for each layer.
    """

    title: str
    layers: int
    size: int
    width: int
    segments: list[LabeledSegment]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart: its upper left corner and its height."""

    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class DayColumn:
    """The column of one day in a chart; ``title`` is its date in words."""

    x: int
    y: float
    height: float
    title: str


def tone_class(index: int) -> str:
    """Return the CSS class for the color of a chart segment, given its number from 0."""
    return f"tone{index % _TONE_COUNT}"


def proportional_bar(shares: Sequence[float | None]) -> list[Segment]:
    """Lay out numbers as segments of a bar of width 1000, proportional to the numbers.

    Segments that are too thin to see are widened.

    Args:
        shares: non-negative numbers in any unit; None counts as 0.
    """
    total = sum(share or 0 for share in shares)
    if not shares or total <= 0:
        return []
    widths = [max((share or 0) / total * _BAR_WIDTH, _MIN_SEGMENT_WIDTH) for share in shares]
    scale, x, bar = _BAR_WIDTH / sum(widths), 0.0, list[Segment]()
    for width in widths:
        bar.append(Segment(round(x, 2), round(width * scale, 2)))
        x += width * scale
    return bar


def _label(
    bar: Sequence[Segment], classes: Sequence[str], titles: Sequence[str]
) -> list[LabeledSegment]:
    return [
        LabeledSegment(segment.x, segment.width, css_class, title)
        for segment, css_class, title in zip(bar, classes, titles, strict=True)
    ]


def layer_bar(layers: Sequence[LayerView]) -> list[LabeledSegment]:
    """Lay out the layers of an image as a bar; empty if there are none or all shares are 0."""
    bar = proportional_bar([layer.share for layer in layers])
    titles = [f"Layer {number}: {size(layer.size)}" for number, layer in enumerate(layers, 1)]
    return _label(bar, [tone_class(index) for index in range(len(bar))], titles[: len(bar)])


def compared_bars(layers: LayerDiff) -> list[LayerBar]:
    """Lay out the layers of two compared images as bars; an image of size 0 is left out."""
    sides = {"From": layers.before, "To": layers.after}
    totals = [sum(layer.size for layer in side) for side in sides.values()]
    longest = max(totals)
    return [
        LayerBar(
            title,
            len(side),
            total,
            round(min(_BAR_WIDTH * longest / total, _MAX_WIDTH)),
            _compared_segments(side),
        )
        for (title, side), total in zip(sides.items(), totals, strict=True)
        if total > 0
    ]


def _compared_segments(layers: Sequence[ComparedLayer]) -> list[LabeledSegment]:
    titles = [
        f"{size(layer.size)}, {'in both' if layer.sides == 'both' else 'only here'}"
        for layer in layers
    ]
    bar = proportional_bar([layer.size for layer in layers])
    return _label(bar, [f"in-{layer.sides}" for layer in layers], titles)


def usage_bar(parts: UsageParts) -> list[LabeledSegment]:
    """Lay out the storage usage of a namespace, project, or image as a bar.

    Each of the largest parts has a segment for the blobs that only this part needs, with the color
    of its row in the table. Two more segments show the remaining parts and the shared blobs.
    """
    pieces = parts.pieces
    return _label(
        proportional_bar([amount for _, amount, _ in pieces]),
        [tone_class(int(key)) if key.isdigit() else key for _, _, key in pieces],
        [f"{label}: {size(amount)}" for label, amount, _ in pieces],
    )


def bar_chart(values: Sequence[int], height: int = 40, step: int = 10) -> list[Column]:
    """Lay out numbers as columns of a chart, from left to right.

    Args:
        values: non-negative numbers. Every number above 0 gets a visible column.
        height: height of the chart, which is the height of the column of the largest number.
        step: horizontal distance between the left edges of neighboring columns.
    """
    greatest = max(values, default=0)
    heights = [max(value / greatest * height, 1.0) if value else 0.0 for value in values]
    return [
        Column(index * step, round(height - value, 2), round(value, 2))
        for index, value in enumerate(heights)
    ]


def day_chart(days: Sequence[Day], counter: str) -> list[DayColumn]:
    """Lay out the number of pushes or pulls of each day as columns; days with 0 are left out.

    Args:
        days: the numbers of each day, oldest first.
        counter: the number to show, ``pushes`` or ``pulls``.
    """
    columns = bar_chart([getattr(day, counter) for day in days])
    return [
        DayColumn(column.x + 1, column.y, column.height, day_name(day.day))
        for column, day in zip(columns, days, strict=True)
        if column.height
    ]


FILTERS = (tone_class,)
HELPERS = (layer_bar, compared_bars, usage_bar, day_chart)
