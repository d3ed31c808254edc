"""Bar charts as SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tzrec.formatting import format_value
from tzrec.report.axis import Axis, tick_text, ticks

_WIDTH, _ROW = 460, 22
_NAMES, _NUMBERS = 190, 70
"""Widths of the columns for names on the left and numbers on the right of the bars: legible on a phone, unscrolled."""
_MAX_NAME = 30

_HISTOGRAM_WIDTH, _HISTOGRAM_HEIGHT = 420, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 36
_SMALL_WIDTH, _SMALL_HEIGHT = 120, 26


def bar_chart(values: Mapping[str, float]) -> str:
    """Draw an SVG element with a horizontal bar from 0 to each finite value, in the given order; "" without values."""
    if not values:
        return ""
    low, high = min(0.0, *values.values()), max(0.0, *values.values())
    scale = (_WIDTH - _NAMES - _NUMBERS) / (high - low or 1.0)
    zero = _NAMES - low * scale
    rows = [_row(index, name, value, zero, scale) for index, (name, value) in enumerate(values.items())]
    height = _ROW * len(values)
    line = f'<line class="grid" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}"/>'
    return f'<svg class="bars" viewBox="0 0 {_WIDTH} {height}" role="img">{line}{"".join(rows)}</svg>'


def _row(index: int, name: str, value: float, zero: float, scale: float) -> str:
    left, width = zero + min(value, 0.0) * scale, abs(value) * scale
    bar = f'<rect class="s0" x="{left:.1f}" y="{index * _ROW + 4}" width="{width:.1f}" height="{_ROW - 8}"/>'
    middle = f'y="{index * _ROW + _ROW // 2}"'
    short = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
    label = f'<text x="{_NAMES - 6}" {middle} class="end middle">{escape(short)}</text>'
    number = f'<text x="{zero + max(value, 0.0) * scale + 6:.1f}" {middle} class="middle">{format_value(value)}</text>'
    return f"{label}{bar}{number}"


def histogram(edges: Sequence[float], shares: Mapping[str, Sequence[float]], x_name: str) -> str:
    """Draw an SVG element with overlaid histograms as outlines over the same intervals, and a legend.

    Args:
        edges: ends of the intervals, `(N + 1,)`.
        shares: name -> height of each interval, `(N,)`.
        x_name: name of the x axis.
    """
    top = max(max(values) for values in shares.values()) or 1.0
    x = Axis(edges[0], edges[-1], _LEFT, _HISTOGRAM_WIDTH - _RIGHT)
    y = Axis(0.0, top * 1.05, _HISTOGRAM_HEIGHT - _BOTTOM, _TOP)
    parts = []
    for tick in ticks(0.0, y.high):
        at = f"{y.at(tick):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_HISTOGRAM_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at}" class="end middle">{tick:.0%}</text>')
    bottom = _HISTOGRAM_HEIGHT - _BOTTOM
    for tick in ticks(x.low, x.high):
        parts.append(f'<text x="{x.at(tick):.1f}" y="{bottom + 16}" class="center">{tick_text(tick)}</text>')
    name = escape(x_name)
    parts.append(f'<text x="{_HISTOGRAM_WIDTH - _RIGHT}" y="{_HISTOGRAM_HEIGHT - 5}" class="end name">{name}</text>')
    for index, values in enumerate(shares.values()):
        corners = [f"{x.at(edges[0]):.1f},{bottom}"]
        for low, high, value in zip(edges, edges[1:], values):
            corners += [f"{x.at(low):.1f},{y.at(value):.1f}", f"{x.at(high):.1f},{y.at(value):.1f}"]
        corners.append(f"{x.at(edges[-1]):.1f},{bottom}")
        parts.append(f'<polygon class="area s{index}" points="{" ".join(corners)}"/>')
    box = f"0 0 {_HISTOGRAM_WIDTH} {_HISTOGRAM_HEIGHT}"
    svg = f'<svg class="chart" viewBox="{box}" role="img" aria-label="{name}">{"".join(parts)}</svg>'
    return svg + color_legend(shares)


def color_legend(names: Mapping[str, object] | Sequence[str]) -> str:
    """Format a legend of areas by their color."""
    items = (f'<li><span class="box s{index}"></span>{escape(name)}</li>' for index, name in enumerate(names))
    return f'<ul class="legend">{"".join(items)}</ul>'


def stacked_bar(values: Mapping[str, float], texts: Mapping[str, str]) -> str:
    """Draw a horizontal bar that is divided among values, and a legend with a text for each."""
    total, at, parts = sum(values.values()) or 1.0, 0.0, []
    for index, value in enumerate(values.values()):
        width = value / total * 100
        parts.append(f'<rect class="t{index}" x="{at:.2f}" y="0" width="{width:.2f}" height="6"/>')
        at += width
    items = (
        f'<li><span class="box t{index}"></span>{escape(name)} <b>{escape(texts[name])}</b></li>'
        for index, name in enumerate(values)
    )
    svg = f'<svg class="stack" viewBox="0 0 100 6" preserveAspectRatio="none" role="img">{"".join(parts)}</svg>'
    return f'{svg}<ul class="legend">{"".join(items)}</ul>'


def small_bars(expected: Sequence[float], actual: Sequence[float]) -> str:
    """Draw two distributions over the same bins, small enough for a cell of a table: one filled, one as a line."""
    top = max(*expected, *actual) or 1.0
    width = _SMALL_WIDTH / len(expected)
    bars, corners = [], []
    for index, (share, other) in enumerate(zip(expected, actual, strict=True)):
        height, level = share / top * (_SMALL_HEIGHT - 2), _SMALL_HEIGHT - other / top * (_SMALL_HEIGHT - 2)
        left = index * width
        bars.append(
            f'<rect class="train" x="{left + 0.5:.1f}" y="{_SMALL_HEIGHT - height:.1f}" '
            f'width="{max(width - 1, 0.5):.1f}" height="{height:.1f}"/>'
        )
        corners += [f"{left:.1f},{level:.1f}", f"{left + width:.1f},{level:.1f}"]
    line = f'<polyline class="line s1" points="{" ".join(corners)}"/>'
    return f'<svg class="small" viewBox="0 0 {_SMALL_WIDTH} {_SMALL_HEIGHT}">{"".join(bars)}{line}</svg>'
