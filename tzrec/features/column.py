"""Column: the encoded values of one feature, as plain numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tzrec.features.arrays import Float32Array, Int32Array, Int64Array


@dataclass(frozen=True)
class Column:
    """One feature of one batch, encoded. Arrays are contiguous.

    Attributes:
        values: sparse: int64 ids `(N,)`, row after row; dense: float32 `(B, dim)`.
        lengths: sparse: int32 `(B,)`, ids per row; None means exactly one id in each row. Dense: None.
        weights: sparse and weighted: float32 `(N,)`; else None.
        dim: width of a dense column, 0 for a sparse one.
        sequence_lengths: int32 `(B,)`, elements of each row's sequence; None for a feature that is not a sequence.
            With S elements in all rows, `lengths` is `(S,)` and dense values are `(S, dim)`, row after row.
    """

    values: Int64Array | Float32Array
    lengths: Int32Array | None = None
    weights: Float32Array | None = None
    dim: int = 0
    sequence_lengths: Int32Array | None = None

    @property
    def is_sparse(self) -> bool:
        return self.dim == 0

    @property
    def num_rows(self) -> int:
        """B, the number of rows."""
        if self.sequence_lengths is not None:
            return len(self.sequence_lengths)
        return len(self.values) if self.lengths is None else len(self.lengths)

    def pad(self, rows: int) -> Column:
        """Append rows without ids and elements, or with zeros for a dense column, up to `rows` rows."""
        num_more = rows - self.num_rows
        if num_more == 0:
            return self
        if self.sequence_lengths is not None:
            return replace(self, sequence_lengths=_with_zeros(self.sequence_lengths, num_more))
        if self.dim:
            values: Any = np.concatenate([self.values, np.zeros((num_more, self.dim), np.float32)])
            return replace(self, values=values)
        lengths = np.ones(self.num_rows, np.int32) if self.lengths is None else self.lengths
        return replace(self, lengths=_with_zeros(lengths, num_more))

    def take(self, rows: Int64Array) -> Column:
        """Select rows in any order, `(F,)`."""
        if self.sequence_lengths is not None:
            elements = member_positions(self.sequence_lengths, rows)
            inner = replace(self, sequence_lengths=None).take(elements)
            return replace(inner, sequence_lengths=self.sequence_lengths[rows])
        if self.lengths is None:
            weights = None if self.weights is None else self.weights[rows]
            return replace(self, values=self.values[rows], weights=weights)
        ids = member_positions(self.lengths, rows)
        weights = None if self.weights is None else self.weights[ids]
        return replace(self, values=self.values[ids], lengths=self.lengths[rows], weights=weights)

    def expand(self, owners: Int64Array) -> Column:
        """Select the row of each owner, `(F,)`: `take`, faster for a single row."""
        return self._repeat(len(owners)) if self.num_rows == 1 else self.take(owners)

    def _repeat(self, times: int) -> Column:
        """Repeat the single row of this column `times` times."""
        values: Any = np.tile(self.values, (times, 1) if self.dim else times)
        return Column(
            values,
            None if self.lengths is None else np.tile(self.lengths, times),
            None if self.weights is None else np.tile(self.weights, times),
            self.dim,
            None if self.sequence_lengths is None else np.tile(self.sequence_lengths, times),
        )


def _with_zeros(lengths: Int32Array, num_more: int) -> Int32Array:
    return np.concatenate([lengths, np.zeros(num_more, np.int32)])


def member_positions(lengths: Int32Array, rows: Int64Array) -> Int64Array:
    """Positions of the members of some rows, among those of all rows one after the other."""
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    counts = lengths[rows]
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts[rows] - (ends - counts), counts) + np.arange(total)
