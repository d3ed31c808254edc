"""Vectors: one vector of float64 per row, and arithmetic on them that broadcasts and pads row by row.

A plain array `(B,)` is one number per row, a float the same number in each. The result of a row depends on this row
alone: a vector of one number is repeated to the length of the others, other lengths are padded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tzrec.features.arrays import FloatArray, Int64Array


@dataclass(frozen=True)
class Vectors:
    """B vectors, none of them empty.

    Attributes:
        values: float64 of all rows, row after row, `(N,)`.
        lengths: int64 `(B,)`, numbers per row, at least 1.
    """

    values: FloatArray
    lengths: Int64Array

    @property
    def starts(self) -> Int64Array:
        """Start of each row in `values`, `(B,)`."""
        return np.cumsum(self.lengths) - self.lengths

    def reduce(self, function: np.ufunc) -> FloatArray:
        """Reduce each row to one number, `(B,)`."""
        return function.reduceat(self.values, self.starts) if len(self.lengths) else self.values

    def repeat(self, values: FloatArray) -> FloatArray:
        """Repeat a number of each row `(B,)` for all elements of the row, `(N,)`."""
        return np.repeat(values, self.lengths)


Value: TypeAlias = "FloatArray | Vectors"


def elementwise(function: Callable[..., Any], fill: float, *values: Value) -> Value:
    """Apply a function elementwise; a vector of one number is repeated, other shorter ones are padded.

    Args:
        function: takes as many arrays of one shape as there are values.
        fill: value that shorter vectors are padded with.
        values: numbers `(B,)`, numbers for all rows `()` or vectors.
    """
    if not any(isinstance(value, Vectors) for value in values):
        return function(*values)  # type: ignore[no-any-return]
    lengths = _longest(values)
    return Vectors(function(*(_pad(value, lengths, fill, repeat=True) for value in values)), lengths)


def align(fill: float, *values: Value) -> list[Vectors]:
    """Pad values to vectors of equal lengths in each row; a single number is padded as well."""
    vectors = as_vectors(*values)
    lengths = _longest(vectors)
    return [Vectors(_pad(vector, lengths, fill, repeat=False), lengths) for vector in vectors]


def as_vectors(*values: Value) -> list[Vectors]:
    """Convert values to vectors; a number becomes a vector of one number."""
    rows = max(len(value.lengths) if isinstance(value, Vectors) else np.size(value) for value in values)
    ones = np.ones(rows, np.int64)
    return [
        value if isinstance(value, Vectors) else Vectors(np.broadcast_to(np.asarray(value, np.float64), rows), ones)
        for value in values
    ]


def _longest(values: Any) -> Int64Array:
    """Return the length of each row's longest vector, `(B,)`."""
    return np.maximum.reduce([value.lengths for value in values if isinstance(value, Vectors)])  # type: ignore[no-any-return]


def _pad(value: Value, lengths: Int64Array, fill: float, repeat: bool) -> FloatArray:
    """Pad to rows of these lengths, `(sum of lengths,)`; a number for all rows stays `()`."""
    if not isinstance(value, Vectors):
        return value if np.ndim(value) == 0 else np.repeat(value, lengths)
    if np.array_equal(value.lengths, lengths):
        return value.values
    out = np.full(int(lengths.sum()), fill)
    starts = np.cumsum(lengths) - lengths
    within = np.arange(len(value.values)) - value.repeat(value.starts)
    out[value.repeat(starts) + within] = value.values
    if repeat:
        single = value.lengths == 1
        out[np.repeat(single, lengths)] = np.repeat(value.values[value.starts[single]], lengths[single])
    return out
