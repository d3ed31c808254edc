"""Bar charts as SVG text."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

_WIDTH, _ROW = 720, 22
_NAMES, _NUMBERS = 200, 80
"""Widths of the columns for names on the left and numbers on the right of the bars."""


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
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{line}{"".join(rows)}</svg>'


def _row(index: int, name: str, value: float, zero: float, scale: float) -> str:
    left, width = zero + min(value, 0.0) * scale, abs(value) * scale
    bar = f'<rect x="{left:.1f}" y="{index * _ROW + 4}" width="{width:.1f}" height="{_ROW - 8}" fill="#4269d0"/>'
    middle = f'y="{index * _ROW + _ROW // 2}" dominant-baseline="middle"'
    label = f'<text x="{_NAMES - 6}" {middle} text-anchor="end">{escape(name)}</text>'
    return f'{label}{bar}<text x="{zero + max(value, 0.0) * scale + 6:.1f}" {middle}>{value:.4g}</text>'
