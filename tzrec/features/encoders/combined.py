"""CombinedEncoder: combine the values of a row into one number or one vector, then encode it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.options import words
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import FloatArray, Int32Array
from tzrec.features.bad_rows import BadRows, InvalidValues
from tzrec.features.base import Encoder
from tzrec.features.bucketize import Bucketizer
from tzrec.features.column import Column
from tzrec.features.encoders.sparse import expected_values
from tzrec.features.jagged import Elements, Jagged
from tzrec.features.numbers import to_floats
from tzrec.features.text.spans import Spans
from tzrec.protos.feature_pb2 import CombineFeature

COMBINERS = words(CombineFeature, "combiner")


def combine(combiner: str, values: FloatArray, lengths: Int32Array) -> FloatArray:
    """Combine the values of each row that has any.

    Args:
        combiner: one of COMBINERS; "avg" is "mean".
        values: of all rows, row after row, `(N, D)`.
        lengths: values per row, `(B,)`.

    Returns:
        float64 `(R, D)` of the R rows that have values.
    """
    counts = lengths[lengths > 0][:, None]
    if combiner == "count":
        return np.broadcast_to(counts, (len(counts), values.shape[1])).astype(np.float64)
    if not len(counts):
        return np.empty((0, values.shape[1]))
    begins = np.cumsum(counts) - counts[:, 0]
    if combiner in ("min", "max"):
        return (np.minimum if combiner == "min" else np.maximum).reduceat(values, begins, axis=0)
    sums = np.add.reduceat(values, begins, axis=0)
    return sums if combiner == "sum" else sums / counts


@dataclass(frozen=True)
class CombinedEncoder(Encoder):
    """Reads values as numbers, combines those of a row, and passes the result to another encoder.

    A value that is not a number, or not a vector of `dim` numbers, counts as missing and is reported.

    Attributes:
        column: name of the input.
        combiner: one of COMBINERS.
        encoder: encodes the combined numbers, `dim` per row or none.
        dim: numbers per value.
        separator: separates the numbers of a value.
    """

    column: str
    combiner: str
    encoder: Encoder
    dim: int = 1
    separator: str = ""

    def encode(self, array: pa.Array, bad: BadRows) -> Column:
        """Encode a column of encoded data, whose values are combined already."""
        return self.encoder.encode(array, bad)

    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        numbers, invalid = self._read_vectors(rows.elements)
        rows = Jagged(numbers, rows.lengths)
        if invalid:
            rows = rows.keep(bad.report_invalid(self.column, invalid, rows.row_indices(), array))
        assert isinstance(rows.elements, np.ndarray)
        counts = rows.row_lengths()
        combined = combine(self.combiner, rows.elements, counts)  # (R, dim)
        lengths = np.where(counts > 0, self.dim, 0).astype(np.int32)
        return self.encoder.finish(Jagged(combined.ravel(), None if (lengths == 1).all() else lengths), array, bad)

    def with_bucketizer(self, wrap: Callable[[Bucketizer], Bucketizer]) -> CombinedEncoder:
        return replace(self, encoder=self.encoder.with_bucketizer(wrap))

    def _read_vectors(self, elements: Elements) -> tuple[FloatArray, list[InvalidValues]]:
        """Return the numbers of every value, float64 `(N, dim)`, arbitrary for invalid values."""
        if self.dim == 1:
            values, invalid = to_floats(elements)
            return values.astype(np.float64).reshape(-1, 1), invalid
        count = len(elements)
        if not isinstance(elements, Spans):
            return np.zeros((count, self.dim)), [InvalidValues(expected_values(self.dim), np.ones(count, np.bool_))]
        parts, lengths = elements.split(self.separator)
        values, invalid_parts = to_floats(parts)
        value_indices, has_other_length = np.repeat(np.arange(count), lengths), lengths != self.dim
        invalid = [InvalidValues(expected_values(self.dim), has_other_length)] if has_other_length.any() else []
        for problem in invalid_parts:
            invalid.append(InvalidValues(problem.reason, np.bincount(value_indices[problem.mask], minlength=count) > 0))
        vectors = np.zeros((count, self.dim))
        vectors[~has_other_length] = values[~has_other_length[value_indices]].reshape(-1, self.dim)
        return vectors, invalid


def read_combiner(config: Any) -> str:
    """Read the combiner of a feature message.

    Raises:
        ConfigError: there is no such combiner.
    """
    if config.combiner not in COMBINERS:
        message = f'"{config.combiner}" is not one of {", ".join(COMBINERS)}'
        raise ConfigError([Problem("combiner", message)])
    return str(config.combiner)
