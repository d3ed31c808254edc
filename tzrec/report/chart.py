"""Line charts as SVG text, without a library to load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 32
_COLORS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#9c6b4e")
_NUM_TICKS = 5
_MAX_POINTS = 1000
_MAX_MARKED_POINTS = 40


@dataclass(frozen=True)
class Axis:
    """Axis: linear map from data to coordinates of the page.

    Attributes:
        low, high: range of the data.
        start, stop: coordinates of `low` and `high`.
    """

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Return the coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def line_chart(series: Mapping[str, Points], x_name: str) -> str:
    """Draw an SVG element with one line per series, and a legend with their last values.

    Args:
        series: name -> (x, y) by rising x; non-finite values are skipped.
        x_name: name of the x axis.
    """
    lines = {name: [point for point in points if math.isfinite(point[1])] for name, points in series.items()}
    all_points = [point for points in lines.values() for point in points]
    if not all_points:
        return ""
    x = Axis(*_range([point[0] for point in all_points]), _LEFT, WIDTH - _RIGHT)
    y = Axis(*_range([point[1] for point in all_points]), HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(x, y, x_name)]
    for index, points in enumerate(lines.values()):
        color = _COLORS[index % len(_COLORS)]
        coordinates = [(f"{x.at(a):.1f}", f"{y.at(b):.1f}") for a, b in thin(points)]
        path = " ".join(",".join(pair) for pair in coordinates)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"/>')
        if len(coordinates) <= _MAX_MARKED_POINTS:  # a line of one point is invisible
            parts += [f'<circle cx="{across}" cy="{down}" r="3" fill="{color}"/>' for across, down in coordinates]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>{_legend(lines)}'


def ticks(low: float, high: float, min_step: float = 0.0) -> list[float]:
    """Choose about five round numbers inside a range, at least `min_step` apart."""
    step = 10 ** math.floor(math.log10((high - low) / _NUM_TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= _NUM_TICKS)
    step = max(step, min_step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def thin(points: Points) -> Points:
    """Select at most a thousand points at equal intervals, including the last one."""
    interval = -(-len(points) // _MAX_POINTS)
    return [*points[:-1:interval], points[-1]] if points else points


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    return low, high


def _grid(x: Axis, y: Axis, x_name: str) -> list[str]:
    parts = []
    for tick in ticks(y.low, y.high):
        at = f"{y.at(tick):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at}" text-anchor="end" dominant-baseline="middle">{tick:,g}</text>')
    for tick in ticks(x.low, x.high, min_step=1):
        parts.append(f'<text x="{x.at(tick):.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:,g}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{escape(x_name)}</text>')
    return parts


def _legend(lines: Mapping[str, Points]) -> str:
    items = []
    for index, (name, points) in enumerate(lines.items()):
        dot = f'<span class="dot" style="background:{_COLORS[index % len(_COLORS)]}"></span>'
        last = f" {points[-1][1]:.4g}" if points else ""
        items.append(f"<li>{dot}{escape(name)}{last}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
