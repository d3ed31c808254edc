"""RowSample: some rows of the data, evenly spread, whose columns are compared with each other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.arrays import FloatArray, Int64Array
from tzrec.features.text.spans import split

MAX_ROWS = 20_000


class RowSample:
    """Every n-th row of the data; n doubles whenever there are twice as many rows as are kept.

    Attributes:
        rows: number of rows that were added.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._stride = 1
        self._next = 0
        self._batches: list[pa.RecordBatch] = []

    @property
    def is_all(self) -> bool:
        """True if the sample holds all rows."""
        return self.rows <= self.num_kept

    @property
    def num_kept(self) -> int:
        """Number of rows in the sample."""
        return sum(batch.num_rows for batch in self._batches)

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add B rows."""
        kept = np.arange(self._next, batch.num_rows, self._stride)
        self._next = (self._next - batch.num_rows) % self._stride
        self.rows += batch.num_rows
        if len(kept):
            self._batches.append(batch if len(kept) == batch.num_rows else batch.take(pa.array(kept)))
        while self.num_kept > 2 * MAX_ROWS:
            self._halve()

    def merge(self, other: RowSample) -> None:
        """Add the sample of other rows."""
        while self._stride < other._stride:
            self._halve()
        while other._stride < self._stride:
            other._halve()
        self._batches += other._batches
        self.rows += other.rows
        while self.num_kept > 2 * MAX_ROWS:
            self._halve()

    def table(self) -> pa.Table:
        """The rows of the sample."""
        return pa.Table.from_batches(self._batches).combine_chunks()

    def _halve(self) -> None:
        table = self.table()
        self._batches = table.take(pa.array(np.arange(0, table.num_rows, 2))).combine_chunks().to_batches()
        self._next += self._stride * (table.num_rows % 2)
        self._stride *= 2


def numbers_of(column: pa.Array) -> FloatArray | None:
    """Numbers of a column `(B,)`, nan where there is none; None for lists and other nested types."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type):
        return None
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _parsed(column)
    try:
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us")).cast(pa.int64())
        numbers = np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan), np.float64)
    except pa.ArrowException:
        return None
    return np.where(np.isfinite(numbers), numbers, np.nan)


def codes_of(column: pa.Array) -> Int64Array | None:
    """Number of the value of each row among the distinct values `(B,)`, -1 where it is missing; None for lists."""
    if pa.types.is_nested(column.type):
        return None
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    return np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)


def _parsed(column: pa.Array) -> FloatArray:
    """Numbers that the cells of text hold, nan for other text."""
    cells, lengths = split(column.cast(pa.large_string()))
    numbers = np.full(len(column), np.nan)
    parsed, is_number = cells.parse_floats()
    numbers[lengths > 0] = np.where(is_number & np.isfinite(parsed), parsed, np.nan)
    return numbers
