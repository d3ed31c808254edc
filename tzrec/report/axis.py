"""Axes of charts: ranges that make differences neither too large nor too small, and round numbers on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_NUM_TICKS = 5
_PADDING = 0.06


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


def settled(values: Sequence[float]) -> list[float]:
    """Leave out the first tenth of many values where it is higher than all later ones, as the loss of a new model."""
    later = max(values[len(values) // 10 :], default=math.inf)
    return [min(value, later) for value in values]


def value_range(values: Sequence[float], has_zero: bool = False, min_share: float = 0.05) -> tuple[float, float]:
    """Choose the range of the y axis for finite values.

    Args:
        values: at least one.
        has_zero: begin at 0, for rates and counts, so that noise does not look like a mountain.
        min_share: smallest range, as a share of the largest absolute value, for the same reason.
    """
    low, high = min(values), max(values)
    if has_zero:
        return min(low, 0.0), max(high, 0.0) * (1 + _PADDING) or 1.0
    least = min_share * max(abs(low), abs(high)) or 1.0
    middle, half = (low + high) / 2, max(high - low, least) / 2
    low_end, high_end = middle - half * (1 + 2 * _PADDING), middle + half * (1 + 2 * _PADDING)
    if low >= 0 and high <= 1:  # a share cannot leave its range
        return max(low_end, 0.0), min(high_end, 1.0) if high < 1 else 1.0
    return (max(low_end, 0.0) if low >= 0 else low_end), high_end


def step_range(values: Sequence[float]) -> tuple[float, float]:
    """Choose the range of an x axis of steps: from 0 on, also for a single point."""
    high = max(values)
    return min(0.0, *values), high if high > 0 else 1.0


def ticks(low: float, high: float, min_step: float = 0.0) -> list[float]:
    """Choose about five round numbers inside a range, at least `min_step` apart."""
    step = 10 ** math.floor(math.log10((high - low) / _NUM_TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= _NUM_TICKS)
    step = max(step, min_step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Format a number of an axis: `0.94`, `250`, `12k`, `1.5M`."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if size >= 1e4 else f"{value:,g}"
