"""Misra-Gries: the most frequent values and bounds of their counts.

Misra and Gries, "Finding repeated elements", 1982, in the mergeable form of Agarwal et al., "Mergeable summaries",
2012, Section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

COUNTERS = 4096


@dataclass(frozen=True)
class FrequentItem:
    """A value and the bounds of its count."""

    value: str
    at_least: int
    at_most: int


class MisraGries:
    """Counts of the most frequent values, exact as long as there are at most as many distinct values as counters.

    If there are more, all counts are lowered by the largest count without a counter. Each time, the sum of all counts
    falls by at least (counters + 1) times what one count loses, so no count is low by more than N / (counters + 1)
    for N values.

    Attributes:
        undercount: upper bound of how much any count is too low; 0 if all counts are exact and the list is complete.
    """

    def __init__(self, counters: int = COUNTERS) -> None:
        self._counters = counters
        self._values: pa.Array | None = None
        self._counts: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.undercount = 0

    def add(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        """Add distinct values `(N,)` with their counts; values of another type are converted to text."""
        values, counts = self._reduce(values, counts)
        if self._values is not None:
            parts = [self._values, values]
            if values.type != self._values.type:  # two columns of one table
                parts = [part.cast(pa.large_string()) for part in parts]
            both = pa.concat_arrays(parts).dictionary_encode()
            sums = np.bincount(both.indices.to_numpy(), np.concatenate([self._counts, counts]), len(both.dictionary))
            values, counts = self._reduce(both.dictionary, sums.astype(np.int64))
        self._values, self._counts = values, counts

    def merge(self, other: MisraGries) -> None:
        """Add the values of a sketch with the same number of counters."""
        if other._values is not None:
            self.add(other._values, other._counts)
            self.undercount += other.undercount

    @property
    def num_counters(self) -> int:
        """Number of counters in use."""
        return len(self._counts)

    def top(self, most: int) -> list[FrequentItem]:
        """The most frequent values by descending count; equal counts in the order of their text."""
        if self._values is None:
            return []
        words = self._values.cast(pa.string()).to_pylist()
        order = sorted(range(self.num_counters), key=lambda index: (-self._counts[index], words[index]))[:most]
        counts = self._counts.tolist()
        return [FrequentItem(words[index], counts[index], counts[index] + self.undercount) for index in order]

    def _reduce(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        """Keep at most as many values as counters."""
        if len(counts) <= self._counters:
            return values, counts
        largest_dropped = int(np.partition(counts, -self._counters - 1)[-self._counters - 1])
        is_kept = counts > largest_dropped
        self.undercount += largest_dropped
        return values.filter(pa.array(is_kept)), counts[is_kept] - largest_dropped
