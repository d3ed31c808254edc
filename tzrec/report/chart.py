"""Line charts as SVG text, without a library to load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from tzrec.formatting import format_value
from tzrec.report.axis import Axis, settled, step_range, tick_text, ticks, value_range

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 420, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 36
NUM_COLORS = 6
_MAX_POINTS = 600
_MAX_MARKED_POINTS = 30
_DASHES = ("", "5 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Style:
    """Look of a line chart.

    Attributes:
        y_range: range of the y axis; None for one that fits, see `value_range`.
        has_zero: the y axis begins at 0.
        x_range: range of the x axis; None for one of steps from 0 on.
        y_name: name of the y axis.
        diagonal: draw the line from (0, 0) to (1, 1), of a perfect or of a random model.
        epochs: x of vertical lines at the ends of epochs.
        checkpoints: x of triangles at checkpoints.
        best: a point to mark with a ring; None for none.
        whiskers: intervals (x, low, high) of the points.
        has_values: write the values beside the names of the lines: their last ones.
        is_settled: do not stretch the y axis for a first tenth of larger values; they are drawn at its upper end.
    """

    y_range: tuple[float, float] | None = None
    has_zero: bool = False
    x_range: tuple[float, float] | None = None
    y_name: str = ""
    diagonal: bool = False
    epochs: Sequence[float] = ()
    checkpoints: Sequence[float] = ()
    best: tuple[float, float] | None = None
    whiskers: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    has_values: bool = True
    is_settled: bool = False


def line_chart(series: Mapping[str, Points], x_name: str, style: Style = Style()) -> str:
    """Draw an SVG element with one line per series, and a legend; "" without finite values.

    Lines differ in color and, from the second one on, in their dashes; a few points are marked.

    Args:
        series: name -> (x, y) by rising x; non-finite values are skipped.
        x_name: name of the x axis.
        style: range of the axes, marks.
    """
    lines = {name: [point for point in points if math.isfinite(point[1])] for name, points in series.items()}
    all_points = [point for points in lines.values() for point in points]
    if not all_points:
        return ""
    curves = [[point[1] for point in points] for points in lines.values()]
    y_values = [value for values in curves for value in (settled(values) if style.is_settled else values)]
    y_values += [end for _, *ends in style.whiskers for end in ends]
    x = Axis(*(style.x_range or step_range([point[0] for point in all_points])), _LEFT, WIDTH - _RIGHT)
    y = Axis(*(style.y_range or value_range(y_values, style.has_zero)), HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(x, y, x_name, style.y_name), *_marks(x, y, style)]
    for index, points in enumerate(lines.values()):
        parts += _line(points, index, x, y)
    if style.best:
        parts.append(f'<circle class="best" cx="{x.at(style.best[0]):.1f}" cy="{y.at(style.best[1]):.1f}" r="6"/>')
    label = escape(", ".join(lines))
    svg = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return svg + _legend(lines, style.has_values)


def thin(points: Points) -> Points:
    """Select at most 600 points at equal intervals, including the last one."""
    interval = -(-len(points) // _MAX_POINTS)
    return [*points[:-1:interval], points[-1]] if points else points


def _line(points: Points, index: int, x: Axis, y: Axis) -> list[str]:
    coordinates = [(f"{x.at(a):.1f}", f"{y.at(min(b, y.high)):.1f}") for a, b in thin(points)]
    path = " ".join(",".join(pair) for pair in coordinates)
    color, dash = f"s{index % NUM_COLORS}", _DASHES[index % len(_DASHES)]
    parts = [f'<polyline class="line {color}" points="{path}" stroke-dasharray="{dash}"/>']
    if len(coordinates) <= _MAX_MARKED_POINTS:  # a line of one point is invisible
        parts += [f'<circle class="point {color}" cx="{across}" cy="{down}" r="3"/>' for across, down in coordinates]
    return parts


def _grid(x: Axis, y: Axis, x_name: str, y_name: str) -> list[str]:
    parts = []
    for tick in ticks(y.low, y.high):
        at = f"{y.at(tick):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at}" class="end middle">{tick_text(tick)}</text>')
    for tick in ticks(x.low, x.high, min_step=1 if x_name == "step" else 0):
        parts.append(f'<text x="{x.at(tick):.1f}" y="{HEIGHT - _BOTTOM + 16}" class="center">{tick_text(tick)}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 5}" class="end name">{escape(x_name)}</text>')
    if y_name:
        parts.append(f'<text x="{_LEFT}" y="{HEIGHT - 5}" class="name">up: {escape(y_name)}</text>')
    return parts


def _marks(x: Axis, y: Axis, style: Style) -> list[str]:
    parts = []
    for epoch in style.epochs:
        at = f"{x.at(epoch):.1f}"
        parts.append(f'<line class="epoch" x1="{at}" x2="{at}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
    for step in style.checkpoints:
        middle, bottom = x.at(step), HEIGHT - _BOTTOM
        corners = f"{middle - 4:.1f},{bottom} {middle + 4:.1f},{bottom} {middle:.1f},{bottom - 7}"
        parts.append(f'<polygon class="checkpoint" points="{corners}"/>')
    if style.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        ends = f'x1="{x.at(low):.1f}" y1="{y.at(low):.1f}" x2="{x.at(high):.1f}" y2="{y.at(high):.1f}"'
        parts.append(f'<line class="diagonal" {ends}/>')
    for position, low, high in style.whiskers:
        column = f"{x.at(position):.1f}"
        parts.append(f'<line class="whisker" x1="{column}" x2="{column}" y1="{y.at(low):.1f}" y2="{y.at(high):.1f}"/>')
    return parts


def _legend(lines: Mapping[str, Points], has_values: bool) -> str:
    if len(lines) == 1 and not has_values:
        return ""
    items = []
    for index, (name, points) in enumerate(lines.items()):
        last = f" <b>{format_value(points[-1][1])}</b>" if points and has_values else ""
        items.append(f"<li>{swatch(index)}{escape(name)}{last}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def swatch(index: int) -> str:
    """Draw the sample of a line for a legend."""
    dash = _DASHES[index % len(_DASHES)]
    line = f'<line class="line s{index % NUM_COLORS}" x1="0" x2="22" y1="5" y2="5" stroke-dasharray="{dash}"/>'
    return f'<svg class="swatch" viewBox="0 0 22 10" aria-hidden="true">{line}</svg>'
