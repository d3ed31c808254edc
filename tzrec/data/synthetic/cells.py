"""Cells: values of a column before they are written down, and how they are drawn."""

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

MOST_IDS = 1000
"""Different values of a column; fewer than most tables have rows, so that each occurs often enough to be learned."""
MISSING = 0.02
FEW = tuple(f"word{number}" for number in range(20))
UNKNOWN = "x"


@dataclass(frozen=True)
class Shape:
    """How many values a cell holds (0: from one to three), what stands between them, whether they carry weights."""

    count: int = 1
    separator: str = ""
    weighted: bool = False


@dataclass(frozen=True)
class Cells:
    """R cells.

    Attributes:
        values: Arrow array `(N,)`, cell after cell.
        counts: values of each cell `(R,)`; None: exactly one.
        signal: what each cell contributes to the labels `(R,)`.
        separator: what stands between values of a cell in a string.
        only_text: whether a cell is a text with an order of its own, such as a map, which no list can replace.
    """

    values: pa.Array
    counts: Int64Array | None
    signal: FloatArray
    separator: str = ""
    only_text: bool = False

    def written(self) -> pa.Array:
        """R values of a column: as they are where each cell has one, else text; null where it has none."""
        if self.counts is None:
            return self.values
        if self.counts.max(initial=0) <= 1:
            at = np.where(self.counts > 0, self.counts.cumsum() - 1, 0)
            return self.values.take(pa.array(at, mask=self.counts == 0))
        texts = pc.binary_join(lists(self.values.cast(pa.string()), self.counts), self.separator)
        return pc.if_else(pa.array(self.counts > 0), texts, None)

    def first(self) -> npt.NDArray[Any]:
        """The first value of each cell as text `(R,)`, one that no map knows where it has none."""
        texts = np.array([*self.values.cast(pa.string()).to_pylist(), UNKNOWN], dtype=object)
        if self.counts is None:
            return texts[:-1]
        return texts[np.where(self.counts > 0, self.counts.cumsum() - self.counts, -1)]

    def without(self, gone: BoolArray) -> Cells:
        """The same cells, but with nothing in some of them."""
        counts = np.ones(len(gone), np.int64) if self.counts is None else self.counts
        kept = self.values.filter(pa.array(np.repeat(~gone, counts)))
        return replace(self, values=kept, counts=np.where(gone, 0, counts))


def lists(values: pa.Array, counts: Int64Array) -> pa.Array:
    """Lists of `counts` values each."""
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], counts.cumsum()]), pa.int32()), values)


@dataclass(frozen=True)
class Draw:
    """Draws R cells.

    Attributes:
        rows: R.
        keys: by column, the key that each cell may look up `(R,)`, for those columns that are drawn already.
    """

    rows: int
    rng: np.random.Generator
    keys: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def tokens(self, words: Sequence[str], shape: Shape) -> Cells:
        """Words, the first ones more often."""
        counts, chosen, signal = self._chosen(len(words), shape.count)
        values = pa.array(words, pa.string()).take(pa.array(chosen))
        if shape.weighted:
            weights = pa.array([f"{weight:.2f}" for weight in self.rng.random(len(chosen))])
            values = pc.binary_join_element_wise(values, weights, ":")
        return Cells(values, counts, signal, shape.separator)

    def integers(self, size: int, shape: Shape) -> Cells:
        """Numbers below `size`, low ones more often."""
        counts, chosen, signal = self._chosen(min(size, MOST_IDS), shape.count)
        return Cells(pa.array(chosen), counts, signal, shape.separator)

    def numbers(self, low: float, high: float, shape: Shape) -> Cells:
        """Numbers between and a little beyond two bounds."""
        counts = self._counts(shape.count)
        reach = 0.2 * (high - low)
        values = self.rng.uniform(low - reach, high + reach, self.rows if counts is None else counts.sum())
        signal = (means(values, counts) - (low + high) / 2) / (high - low) * 2
        return Cells(pa.array(values.round(4).astype(np.float32)), counts, signal, shape.separator)

    def maps(self, key: str, values: Callable[[Draw], Sequence[str]], between: str, within: str) -> Cells:
        """Maps in text, with six keys each, most times that of the row among them.

        Args:
            key: side:name of the column that they are looked up by, or ALL; it is drawn already.
            values: makes a value for each cell of a draw.
            between: what stands between two pairs.
            within: what stands between key and value.
        """
        own = self._own_keys(key)
        chosen = own[self.rng.integers(0, self.rows, (self.rows, 6))]
        chosen[:, 0] = np.where(self.rng.random(self.rows) < 0.8, own, UNKNOWN)
        inner = Draw(6 * self.rows, self.rng, {name: np.repeat(each, 6) for name, each in self.keys.items()})
        pairs = chosen.ravel() + within + np.array(values(inner), dtype=object)
        texts = [between.join(row) for row in pairs.reshape(self.rows, 6)]
        return Cells(pa.array(texts, pa.string()), None, np.zeros(self.rows), only_text=True)

    def gaps(self) -> BoolArray:
        """Which few cells are to be empty."""
        return self.rng.random(self.rows) < MISSING

    def _own_keys(self, key: str) -> npt.NDArray[Any]:
        side, _, name = key.partition(":")
        if side == "const":
            return np.full(self.rows, name, dtype=object)
        if name in self.keys:
            return self.keys[name]
        known = [*map(str, range(10))] if side == "feature" else FEW
        return np.array(known, dtype=object)[self.rng.integers(0, len(known), self.rows)]

    def _counts(self, count: int) -> Int64Array | None:
        if count == 1:
            return None
        return np.full(self.rows, count) if count else self.rng.integers(1, 4, self.rows)

    def _chosen(self, known: int, count: int) -> tuple[Int64Array | None, Int64Array, FloatArray]:
        """Values of each cell, which of so many things they are, and the mean effect of these."""
        counts = self._counts(count)
        effect = self.rng.standard_normal(known)
        chosen = (known * self.rng.random(self.rows if counts is None else counts.sum()) ** 2).astype(np.int64)
        return counts, chosen, means(effect[chosen], counts)


def means(values: FloatArray, counts: Int64Array | None) -> FloatArray:
    """Mean of the values of each cell `(R,)`, 0 where it has none."""
    if counts is None:
        return values
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), values, len(counts))
    return sums / np.maximum(counts, 1)
