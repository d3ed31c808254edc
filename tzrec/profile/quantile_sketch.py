"""Quantiles of any number of values, from a sample whose ranks are right within a known bound.

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
"""Ranks are right within this share of all values, but for 3 estimates in 1000: see `QuantileSketch`."""


class QuantileSketch:
    """Values in levels; one at level h stands for 2^h of those that came.

    A level that holds more than `SIZE` is sorted, and every other value goes one level up, the first or the second of
    each pair by chance. That moves the rank of any x by at most 2^h, up or down with equal chance. Of N values level h
    can overflow at most N / (SIZE 2^h) times, and only levels with SIZE 2^h <= N do, so the squares of all moves add up
    to at most 2 (N / SIZE)^2. By Hoeffding a rank is wrong by more than e N with probability at most
    2 exp(-(e SIZE)^2 / 4), which for e = 0.25 % is 0.003.
    """

    def __init__(self, seed: int = 1) -> None:
        self._levels: list[FloatArray] = [np.empty(0)]
        self._rng = np.random.default_rng(seed)
        self.count = 0

    def add(self, values: FloatArray) -> None:
        """Take in finite numbers `(N,)`."""
        self.count += len(values)
        self._put(0, values)

    def merge(self, other: QuantileSketch) -> None:
        """Take in what another one has seen."""
        self.count += other.count
        for level, values in enumerate(other._levels):
            self._put(level, values)

    def at(self, shares: Sequence[float]) -> list[float]:
        """For each share the least value with at least that share of all values up to it; NaN without values."""
        values = np.concatenate(self._levels)
        if not len(values):
            return [math.nan] * len(shares)
        weights = np.repeat(2.0 ** np.arange(len(self._levels)), [len(level) for level in self._levels])
        order = np.argsort(values, kind="stable")
        ranks = np.cumsum(weights[order])
        places = np.searchsorted(ranks, np.asarray(shares) * ranks[-1] * (1 - 1e-12))
        return [float(value) for value in values[order][np.minimum(places, len(values) - 1)]]

    def _put(self, level: int, values: FloatArray) -> None:
        while len(self._levels) <= level:
            self._levels.append(np.empty(0))
        held = np.concatenate([self._levels[level], values])
        if len(held) <= SIZE:
            self._levels[level] = held
            return
        held.sort()
        even = len(held) // 2 * 2
        self._levels[level] = held[even:]  # of an odd number the last one stays
        self._put(level + 1, held[int(self._rng.integers(2)) : even : 2])
