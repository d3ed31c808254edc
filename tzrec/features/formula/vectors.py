"""Vectors: one vector of float64 per row, and arithmetic on them that broadcasts and pads row by row.

A plain array `(B,)` stands for one number per row, a float for the same number in each. What a row yields depends on
this row alone: a vector of one number is stretched to the length of the others, other lengths are padded.
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
        """Where each row begins in `values`, `(B,)`."""
        return np.cumsum(self.lengths) - self.lengths

    def reduce(self, function: np.ufunc) -> FloatArray:
        """One number per row, `(B,)`."""
        return function.reduceat(self.values, self.starts) if len(self.lengths) else self.values

    def spread(self, values: FloatArray) -> FloatArray:
        """A number of each row `(B,)` for all elements of the row, `(N,)`."""
        return np.repeat(values, self.lengths)


Value: TypeAlias = "FloatArray | Vectors"


def elementwise(function: Callable[..., Any], fill: float, *values: Value) -> Value:
    """Apply a function number by number; a vector of one number goes with any other, shorter ones are padded.

    Args:
        function: of as many arrays of one shape as there are values.
        fill: what shorter vectors are padded with.
        values: numbers `(B,)`, numbers for all rows `()` or vectors.
    """
    if not any(isinstance(value, Vectors) for value in values):
        return function(*values)  # type: ignore[no-any-return]
    lengths = _longest(values)
    return Vectors(function(*(_fitted(value, lengths, fill, stretch=True) for value in values)), lengths)


def aligned(fill: float, *values: Value) -> list[Vectors]:
    """Values as vectors of equal lengths in each row; shorter ones are padded, a single number too."""
    vectors = as_vectors(*values)
    lengths = _longest(vectors)
    return [Vectors(_fitted(each, lengths, fill, stretch=False), lengths) for each in vectors]


def as_vectors(*values: Value) -> list[Vectors]:
    """Values as vectors; one number is a vector of one number."""
    rows = max(len(value.lengths) if isinstance(value, Vectors) else np.size(value) for value in values)
    ones = np.ones(rows, np.int64)
    return [
        value if isinstance(value, Vectors) else Vectors(np.broadcast_to(np.asarray(value, np.float64), rows), ones)
        for value in values
    ]


def _longest(values: Any) -> Int64Array:
    """The length of each row's longest vector, `(B,)`."""
    lengths = [value.lengths for value in values if isinstance(value, Vectors)]
    longest = lengths[0]
    for each in lengths[1:]:
        longest = np.maximum(longest, each)
    return longest


def _fitted(value: Value, lengths: Int64Array, fill: float, stretch: bool) -> FloatArray:
    """Values for rows of these lengths, `(sum of lengths,)`, or `()` where they are the same for all rows."""
    if not isinstance(value, Vectors):
        return value if np.ndim(value) == 0 else np.repeat(value, lengths)
    if np.array_equal(value.lengths, lengths):
        return value.values
    out = np.full(int(lengths.sum()), fill)
    starts = np.cumsum(lengths) - lengths
    within = np.arange(len(value.values)) - value.spread(value.starts)
    out[value.spread(starts) + within] = value.values
    if stretch:
        single = value.lengths == 1
        out[np.repeat(single, lengths)] = np.repeat(value.values[value.starts[single]], lengths[single])
    return out
