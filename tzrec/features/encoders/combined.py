"""CombinedEncoder: several numbers of a row become one, or one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import FloatArray, Int32Array
from tzrec.features.base import BadRows
from tzrec.features.bucketize import InvalidValues, floats
from tzrec.features.column import Column
from tzrec.features.encoders.dense import DenseEncoder
from tzrec.features.encoders.sparse import SparseEncoder, expected, report
from tzrec.features.jagged import Elements, Jagged
from tzrec.features.text.spans import Spans

COMBINERS = ("sum", "mean", "avg", "min", "max", "count")


def combine(how: str, values: FloatArray, lengths: Int32Array) -> FloatArray:
    """Combine the values of each row that has any.

    Args:
        how: one of COMBINERS; "avg" is "mean".
        values: of all rows, row after row, `(N, D)`.
        lengths: values per row, `(B,)`.

    Returns:
        float64 `(R, D)` of the R rows that have values.
    """
    counts = lengths[lengths > 0][:, None]
    if how == "count":
        return np.broadcast_to(counts, (len(counts), values.shape[1])).astype(np.float64)
    if not len(counts):
        return np.empty((0, values.shape[1]))
    begins = np.cumsum(counts) - counts[:, 0]
    if how in ("min", "max"):
        return (np.minimum if how == "min" else np.maximum).reduceat(values, begins, axis=0)
    sums = np.add.reduceat(values, begins, axis=0)
    return sums if how == "sum" else sums / counts


@dataclass(frozen=True)
class CombinedEncoder:
    """Reads values as numbers, combines those of a row, and passes the result on.

    A value that is no number, or no vector of `dim` of them, counts as missing and is reported.

    Attributes:
        column: name of the input.
        combiner: one of COMBINERS.
        encoder: takes the combined numbers, `dim` per row or none.
        dim: numbers in a value.
        separator: what stands between the numbers of a value.
    """

    column: str
    combiner: str
    encoder: DenseEncoder | SparseEncoder
    dim: int = 1
    separator: str = ""

    def finish(self, rows: Jagged, array: pa.Array, bad: BadRows) -> Column:
        """Encode B rows of values; `array` shows what stood in a bad row."""
        numbers, faults = self._vectors(rows.elements)
        rows = Jagged(numbers, rows.lengths)
        if faults:
            owners, good = rows.owners(), np.ones(len(numbers), np.bool_)
            for fault in faults:
                report(bad, self.column, fault.reason, np.unique(owners[fault.mask]), array)
                good &= ~fault.mask
            rows = rows.keep(good)
        assert isinstance(rows.elements, np.ndarray)
        counts = rows.counts()
        combined = combine(self.combiner, rows.elements, counts)  # (R, dim)
        lengths = np.where(counts > 0, self.dim, 0).astype(np.int32)
        return self.encoder.finish(Jagged(combined.ravel(), None if (lengths == 1).all() else lengths), array, bad)

    def _vectors(self, elements: Elements) -> tuple[FloatArray, list[InvalidValues]]:
        """The numbers of every value, float64 `(N, dim)`, arbitrary where a fault says so."""
        if self.dim == 1:
            values, faults = floats(elements)
            return values.astype(np.float64).reshape(-1, 1), faults
        count = len(elements)
        if not isinstance(elements, Spans):
            return np.zeros((count, self.dim)), [InvalidValues(expected(self.dim), np.ones(count, np.bool_))]
        parts, lengths = elements.split(self.separator)
        values, found = floats(parts)
        owners, wrong = np.repeat(np.arange(count), lengths), lengths != self.dim
        faults = [InvalidValues(expected(self.dim), wrong)] if wrong.any() else []
        faults += [InvalidValues(each.reason, np.bincount(owners[each.mask], minlength=count) > 0) for each in found]
        vectors = np.zeros((count, self.dim))
        vectors[~wrong] = values[~wrong[owners]].reshape(-1, self.dim)
        return vectors, faults


def combiner_of(config: Any) -> str:
    """The combiner a feature message names.

    Raises:
        ConfigError: there is no such combiner.
    """
    if config.combiner not in COMBINERS:
        message = f'"{config.combiner}" is not one of {", ".join(COMBINERS)}'
        raise ConfigError([Problem("combiner", message)])
    return str(config.combiner)
