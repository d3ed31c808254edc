"""HyperLogLog: estimated number of distinct values.

Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm",
2007, with the estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017, Section 3
(Algorithm 6), which needs no correction for small counts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_BITS = 14
_REST = 64 - _BITS
ERROR = 1.04 / math.sqrt(1 << _BITS)
"""Relative standard error of an estimate: 0.8 %."""


class HyperLogLog:
    """Estimate of the number of distinct 64-bit hashes, in 16 KB."""

    def __init__(self) -> None:
        self._ranks = np.zeros(1 << _BITS, np.uint8)

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Add hashes `(N,)`: the first bits select a register, which keeps the longest run of zeros after them."""
        registers = (hashes >> np.uint64(_REST)).astype(np.int64)
        rest = hashes & np.uint64((1 << _REST) - 1)
        # a float64 holds the 50 bits exactly: frexp gives their number without the zeros before them
        _, used = np.frexp(rest.astype(np.float64))
        np.maximum.at(self._ranks, registers, (_REST + 1 - used).astype(np.uint8))

    def merge(self, other: HyperLogLog) -> None:
        """Add the hashes of another sketch."""
        np.maximum(self._ranks, other._ranks, out=self._ranks)

    def estimate(self) -> float:
        """Estimate the number of distinct hashes."""
        size = 1 << _BITS
        counts = np.bincount(self._ranks, minlength=_REST + 2)
        total = size * _tau(1 - counts[_REST + 1] / size)
        for rank in range(_REST, 0, -1):
            total = 0.5 * (total + counts[rank])
        total += size * _sigma(counts[0] / size)
        return size * size / (2 * math.log(2) * total) if math.isfinite(total) else 0.0


def _sigma(x: float) -> float:
    """x + sum of x^(2^k) 2^(k-1) over k from 1: contribution of the empty registers."""
    if x == 1:
        return math.inf
    total, power, previous = x, 1.0, -1.0
    while total != previous:
        x, previous = x * x, total
        total += x * power
        power += power
    return total


def _tau(x: float) -> float:
    """(1 - x - sum of (1 - x^(2^-k))^2 2^-k over k from 1) / 3: contribution of the full registers."""
    if x in (0, 1):
        return 0.0
    total, power, previous = 1 - x, 1.0, -1.0
    while total != previous:
        x, previous = math.sqrt(x), total
        power *= 0.5
        total -= (1 - x) ** 2 * power
    return total / 3


def mix(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Hash each 64-bit number `(N,)`: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014, Section 5)."""
    state = values.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return state ^ state >> np.uint64(31)
