"""Misra-Gries: which values occur often, and how often.

Misra and Gries, "Finding repeated elements", 1982, in the form that merges: Agarwal et al., "Mergeable summaries",
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
    """A value, and bounds of how often it occurs."""

    value: str
    at_least: int
    at_most: int


class MisraGries:
    """Counts of the most frequent values, exact for as long as there are no more different ones than counters.

    Where there are more, all counts are lowered by that of the first one without a counter. Each time that takes away
    at least (counters + 1) times as much in all as from any one value, so no count is short by more than
    N / (counters + 1) of N values.

    Attributes:
        short: how much any count may be too low; 0: all of them are exact, and values that are not here do not occur.
    """

    def __init__(self, counters: int = COUNTERS) -> None:
        self._counters = counters
        self._values: pa.Array | None = None
        self._counts: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.short = 0

    def add(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        """Take in different values `(N,)` that occur so often; those of another type count as their text."""
        values, counts = self._lowered(values, counts)
        if self._values is not None:
            parts = [self._values, values]
            if values.type != self._values.type:  # two columns of one table
                parts = [each.cast(pa.large_string()) for each in parts]
            both = pa.concat_arrays(parts).dictionary_encode()
            sums = np.bincount(both.indices.to_numpy(), np.concatenate([self._counts, counts]), len(both.dictionary))
            values, counts = self._lowered(both.dictionary, sums.astype(np.int64))
        self._values, self._counts = values, counts

    def merge(self, other: MisraGries) -> None:
        """Take in what another one of as many counters has seen."""
        if other._values is not None:
            self.add(other._values, other._counts)
            self.short += other.short

    @property
    def known(self) -> int:
        """How many values have counters."""
        return len(self._counts)

    def top(self, most: int) -> list[FrequentItem]:
        """The most frequent values, by falling count; those that are equally frequent in the order of their text."""
        if self._values is None:
            return []
        words = self._values.cast(pa.string()).to_pylist()
        order = sorted(range(self.known), key=lambda at: (-self._counts[at], words[at]))[:most]
        counts = self._counts.tolist()
        return [FrequentItem(words[at], counts[at], counts[at] + self.short) for at in order]

    def _lowered(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        """No more values than counters."""
        if len(counts) <= self._counters:
            return values, counts
        cut = int(np.partition(counts, -self._counters - 1)[-self._counters - 1])
        kept = counts > cut
        self.short += cut
        return values.filter(pa.array(kept)), counts[kept] - cut
