"""Cells: values of a synthetic column before they are formatted, and the sampler that draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MAX_IDS = 1000
"""Distinct values of a column: few enough that each occurs often enough to be learned."""
EMPTY_SHARE = 0.02
WORDS = tuple(f"word{number}" for number in range(20))
UNKNOWN = "x"


@dataclass(frozen=True)
class CellShape:
    """Format of the cells of a column.

    Attributes:
        count: values of a cell; 0 for a random number from one to three.
        separator: between the values of a string.
        weighted: values are written value:weight.
    """

    count: int = 1
    separator: str = ""
    weighted: bool = False


@dataclass(frozen=True)
class Cells:
    """R cells.

    Attributes:
        values: Arrow array `(N,)`, cell after cell.
        counts: values of each cell `(R,)`; None: exactly one.
        signal: contribution of each cell to the labels `(R,)`.
        separator: between the values of a cell in a string.
        is_text: a cell is one text, such as a map, that cannot be written as a list.
    """

    values: pa.Array
    counts: Int64Array | None
    signal: FloatArray
    separator: str = ""
    is_text: bool = False

    def to_arrow(self) -> pa.Array:
        """Format R values of a column: unchanged if each cell has at most one, else as text; null if it has none."""
        if self.counts is None:
            return self.values
        if self.counts.max(initial=0) <= 1:
            indices = np.where(self.counts > 0, self.counts.cumsum() - 1, 0)
            return self.values.take(pa.array(indices, mask=self.counts == 0))
        texts = pc.binary_join(lists(self.values.cast(pa.string()), self.counts), self.separator)
        return pc.if_else(pa.array(self.counts > 0), texts, None)

    def first(self) -> npt.NDArray[Any]:
        """The first value of each cell as text `(R,)`; a value that no map contains if the cell is empty."""
        texts = np.array([*self.values.cast(pa.string()).to_pylist(), UNKNOWN], dtype=object)
        if self.counts is None:
            return texts[:-1]
        return texts[np.where(self.counts > 0, self.counts.cumsum() - self.counts, -1)]

    def clear(self, is_empty: BoolArray) -> Cells:
        """Copy the cells with some of them empty."""
        counts = np.ones(len(is_empty), np.int64) if self.counts is None else self.counts
        values = self.values.filter(pa.array(np.repeat(~is_empty, counts)))
        return replace(self, values=values, counts=np.where(is_empty, 0, counts))


def lists(values: pa.Array, counts: Int64Array) -> pa.Array:
    """Split values into lists of `counts` values each."""
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], counts.cumsum()]), pa.int32()), values)


@dataclass(frozen=True)
class CellSampler:
    """Random generator of R cells.

    Attributes:
        rows: R.
        rng: source of all random numbers.
        keys: by column, a key for each cell `(R,)`, of the columns that are drawn already.
    """

    rows: int
    rng: np.random.Generator
    keys: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def tokens(self, words: Sequence[str], shape: CellShape) -> Cells:
        """Draw words, the first ones more often."""
        counts, indices, signal = self._indices(len(words), shape.count)
        values = pa.array(words, pa.string()).take(pa.array(indices))
        if shape.weighted:
            weights = pa.array([f"{weight:.2f}" for weight in self.rng.random(len(indices))])
            values = pc.binary_join_element_wise(values, weights, ":")
        return Cells(values, counts, signal, shape.separator)

    def integers(self, size: int, shape: CellShape) -> Cells:
        """Draw integers below `size`, low ones more often."""
        counts, indices, signal = self._indices(min(size, MAX_IDS), shape.count)
        return Cells(pa.array(indices), counts, signal, shape.separator)

    def numbers(self, low: float, high: float, shape: CellShape) -> Cells:
        """Draw numbers between two bounds and slightly beyond them."""
        counts = self._counts(shape.count)
        margin = 0.2 * (high - low)
        values = self.rng.uniform(low - margin, high + margin, self.rows if counts is None else counts.sum())
        signal = (means(values, counts) - (low + high) / 2) / (high - low) * 2
        return Cells(pa.array(values.round(4).astype(np.float32)), counts, signal, shape.separator)

    def maps(
        self, key: str, values: Callable[[CellSampler], Sequence[str]], pair_separator: str, key_separator: str
    ) -> Cells:
        """Draw maps as text, with six keys each; 80 % of them contain the key of their row.

        Args:
            key: side:name of the column with the keys, which is drawn already, or ALL.
            values: returns a value for each cell of a sampler.
            pair_separator: between two pairs.
            key_separator: between key and value.
        """
        row_keys = self._row_keys(key)
        keys = row_keys[self.rng.integers(0, self.rows, (self.rows, 6))]
        keys[:, 0] = np.where(self.rng.random(self.rows) < 0.8, row_keys, UNKNOWN)
        repeated = {name: np.repeat(column, 6) for name, column in self.keys.items()}
        pairs = keys.ravel() + key_separator + np.array(values(CellSampler(6 * self.rows, self.rng, repeated)), object)
        texts = [pair_separator.join(row) for row in pairs.reshape(self.rows, 6)]
        return Cells(pa.array(texts, pa.string()), None, np.zeros(self.rows), is_text=True)

    def empty_cells(self) -> BoolArray:
        """Draw the few cells that are to be empty `(R,)`."""
        return self.rng.random(self.rows) < EMPTY_SHARE

    def _row_keys(self, key: str) -> npt.NDArray[Any]:
        side, _, name = key.partition(":")
        if side == "const":
            return np.full(self.rows, name, dtype=object)
        if name in self.keys:
            return self.keys[name]
        keys = [*map(str, range(10))] if side == "feature" else WORDS
        return np.array(keys, dtype=object)[self.rng.integers(0, len(keys), self.rows)]

    def _counts(self, count: int) -> Int64Array | None:
        if count == 1:
            return None
        return np.full(self.rows, count) if count else self.rng.integers(1, 4, self.rows)

    def _indices(self, size: int, count: int) -> tuple[Int64Array | None, Int64Array, FloatArray]:
        """Draw values per cell, indices below `size`, and the mean effect of the indices on the labels."""
        counts = self._counts(count)
        effect = self.rng.standard_normal(size)
        indices = (size * self.rng.random(self.rows if counts is None else counts.sum()) ** 2).astype(np.int64)
        return counts, indices, means(effect[indices], counts)


def means(values: FloatArray, counts: Int64Array | None) -> FloatArray:
    """Mean of the values of each cell `(R,)`, 0 for an empty cell."""
    if counts is None:
        return values
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), values, len(counts))
    return sums / np.maximum(counts, 1)
