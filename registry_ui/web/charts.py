"""Layout of bars and columns, in units of the viewBox of an SVG image."""

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
#: Maximum width of a bar, if the longer one beside it has many times its size.
_MAX_WIDTH = 1_000_000
_TONE_COUNT = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a proportional bar."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class LabeledSegment:
    """One piece of a bar, with the CSS class for its color and a title."""

    x: float
    width: float
    css_class: str
    title: str


@dataclass(frozen=True, slots=True)
class LayerBar:
    """The layers of one side of a comparison, drawn to the same scale as the other side.

    Attributes:
        title: name of the side.
        layers: number of layers.
        size: total size of the layers in bytes.
        width: width of the viewBox. The smaller the side, the wider its viewBox, so that its
            segments look shorter.
        segments: the layers.
    """

    title: str
    layers: int
    size: int
    width: int
    segments: list[LabeledSegment]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart, from its upper left corner."""

    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class DayColumn:
    """The column of one day in a chart, with the name of the day."""

    x: int
    y: float
    height: float
    title: str


def tone_class(index: int) -> str:
    """Return the CSS class for the color of a row and its segment, by its number from 0."""
    return f"tone{index % _TONE_COUNT}"


def proportional_bar(shares: Sequence[float | None]) -> list[Segment]:
    """Lay out shares of a whole as a bar of width 1000; segments too thin to see are widened.

    Args:
        shares: a number from 0 to 1 each, or None if unknown. They need not add up to 1.
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
    """Lay out the layers of an image as a bar; empty if no size is known."""
    bar = proportional_bar([layer.share for layer in layers])
    titles = [f"Layer {number}: {size(layer.size)}" for number, layer in enumerate(layers, 1)]
    return _label(bar, [tone_class(index) for index in range(len(bar))], titles[: len(bar)])


def compared_bars(layers: LayerDiff) -> list[LayerBar]:
    """Lay out both sides of a comparison; a side without a size is left out."""
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
    """Lay out the storage usage of the parts of a scope: what each has alone, and what is shared.

    A row of the table has the color of its number.
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
        values: non-negative numbers. Any number above 0 gets a visible column.
        height: height of the chart, and of the column of the largest number.
        step: distance from one column to the next.
    """
    greatest = max(values, default=0)
    heights = [max(value / greatest * height, 1.0) if value else 0.0 for value in values]
    return [
        Column(index * step, round(height - value, 2), round(value, 2))
        for index, value in enumerate(heights)
    ]


def day_chart(days: Sequence[Day], counter: str) -> list[DayColumn]:
    """Lay out the numbers of the days as a chart, without the days of the number 0.

    Args:
        days: the days, oldest first.
        counter: the attribute to show, ``pushes`` or ``pulls``.
    """
    columns = bar_chart([getattr(day, counter) for day in days])
    return [
        DayColumn(column.x + 1, column.y, column.height, day_name(day.day))
        for column, day in zip(columns, days, strict=True)
        if column.height
    ]


FILTERS = (tone_class,)
HELPERS = (layer_bar, compared_bars, usage_bar, day_chart)
