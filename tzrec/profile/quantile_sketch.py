"""Quantiles of any number of values, from a sample whose ranks are exact to within a known bound.

Karnin, Lang and Liberty, "Optimal quantile approximation in streams", 2016, Section 2, with all compactors of one size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SIZE = 2048
ERROR = 0.0025
"""Bound of the rank error, as a share of all values; exceeded by 3 estimates in 1000, see `QuantileSketch`."""


class QuantileSketch:
    """Values in levels; a value at level h represents 2^h added ones.

    A level that holds more than `SIZE` is sorted, and every other value moves one level up, at random the first or the
    second of each pair. That changes the rank of any x by at most 2^h, up or down with equal probability. Of N values
    level h can overflow at most N / (SIZE 2^h) times, and only levels with SIZE 2^h <= N do, so the squares of all
    changes add up to at most 2 (N / SIZE)^2. By Hoeffding a rank is off by more than e N with probability at most
    2 exp(-(e SIZE)^2 / 4), which for e = 0.25 % is 0.003.
    """

    def __init__(self, seed: int = 1) -> None:
        self._levels: list[FloatArray] = [np.empty(0)]
        self._rng = np.random.default_rng(seed)
        self.count = 0

    def add(self, values: FloatArray) -> None:
        """Add finite numbers `(N,)`."""
        self.count += len(values)
        self._insert(0, values)

    def merge(self, other: QuantileSketch) -> None:
        """Add the values of another sketch."""
        self.count += other.count
        for level, values in enumerate(other._levels):
            self._insert(level, values)

    def at(self, shares: Sequence[float]) -> list[float]:
        """For each share, the least value with at least that share of all values up to it; NaN without values."""
        values = np.concatenate(self._levels)
        if not len(values):
            return [math.nan] * len(shares)
        weights = np.repeat(2.0 ** np.arange(len(self._levels)), [len(level) for level in self._levels])
        order = np.argsort(values, kind="stable")
        ranks = np.cumsum(weights[order])
        positions = np.searchsorted(ranks, np.asarray(shares) * ranks[-1] * (1 - 1e-12))
        return [float(value) for value in values[order][np.minimum(positions, len(values) - 1)]]

    def _insert(self, level: int, values: FloatArray) -> None:
        while len(self._levels) <= level:
            self._levels.append(np.empty(0))
        merged = np.concatenate([self._levels[level], values])
        if len(merged) <= SIZE:
            self._levels[level] = merged
            return
        merged.sort()
        even = len(merged) // 2 * 2
        self._levels[level] = merged[even:]  # the last one of an odd number stays
        self._insert(level + 1, merged[int(self._rng.integers(2)) : even : 2])
