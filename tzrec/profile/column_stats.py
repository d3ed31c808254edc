"""Statistics of one column, built up piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.bad_rows import BadRows
from tzrec.features.column_types import readable
from tzrec.features.jagged import Elements, read_jagged
from tzrec.features.text.spans import Spans, split
from tzrec.profile import hyperloglog
from tzrec.profile.hyperloglog import HyperLogLog
from tzrec.profile.misra_gries import FrequentItem, MisraGries
from tzrec.profile.moments import Moments
from tzrec.profile.quantile_sketch import QuantileSketch

_HASHES = 1 << 63


class ColumnStats:
    """Statistics of a column whose rows may hold any number of values.

    Attributes:
        name: of the column.
        kind: Arrow type that the column is read as; a string for CSV text.
        rows: number of rows.
        missing: number of rows without any value.
        values: number of values in all rows.
        widths: least and most values in the rows that have any.
        numbers: number of values that are finite numbers.
        is_whole: true if all values are whole numbers, floating point ones included.
        moments: mean, standard deviation and range of the numbers.
    """

    def __init__(
        self, name: str, separators: Sequence[str] = ("\x1d",), as_numbers: bool = False, weighted: bool = False
    ) -> None:
        """
        Args:
            name: of the column.
            separators: separators between values in strings, the outermost first.
            as_numbers: read text as numbers, even if some of it is not a number.
            weighted: values are written value:weight; only the value counts.
        """
        self.name = name
        self.kind = pa.null()
        self.rows = self.missing = self.values = self.numbers = 0
        self.widths = (0, 0)
        self.is_whole = True
        self.moments = Moments()
        self._separators = separators
        self._as_numbers, self._weighted = as_numbers, weighted
        self._distinct, self._frequent, self._quantiles = HyperLogLog(), MisraGries(), QuantileSketch()

    @property
    def is_numeric(self) -> bool:
        """True if all values are numbers."""
        return 0 < self.values == self.numbers

    @property
    def is_exact(self) -> bool:
        """True if `distinct` and `top` are exact."""
        return self._frequent.undercount == 0

    @property
    def distinct(self) -> int:
        """Number of distinct values; unless `is_exact` an estimate with the standard error `hyperloglog.ERROR`."""
        if self.is_exact:
            return self._frequent.num_counters
        return min(round(self._distinct.estimate()), self.values)

    def top(self, most: int) -> list[FrequentItem]:
        """The most frequent values, as text."""
        return self._frequent.top(most)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Quantiles of the numbers; ranks are exact to within `quantile_sketch.ERROR`."""
        return self._quantiles.at(shares)

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add the column of B rows."""
        self.add(batch.column(self.name))

    def add(self, array: pa.Array) -> None:
        """Add B rows.

        Raises:
            DataError: the column has a type that no feature can read.
        """
        array = readable(array, self.name, BadRows(len(array)))
        self.kind = array.type
        elements, lengths = self._read(array)
        self.rows += len(array)
        self.values += len(elements)
        present = lengths[lengths > 0]
        self.missing += len(array) - len(present)
        self._widen(int(present.min(initial=len(elements))), int(present.max(initial=0)))
        if len(elements):
            self._count(elements)
            self._measure(elements)

    def merge(self, other: ColumnStats) -> None:
        """Add the statistics of other rows of the same column."""
        self.kind = other.kind if pa.types.is_null(self.kind) else self.kind
        self.rows, self.missing = self.rows + other.rows, self.missing + other.missing
        self.values, self.numbers = self.values + other.values, self.numbers + other.numbers
        self._widen(*other.widths)
        self.is_whole = self.is_whole and other.is_whole
        self.moments.merge(other.moments)
        self._distinct.merge(other._distinct)
        self._frequent.merge(other._frequent)
        self._quantiles.merge(other._quantiles)

    def _widen(self, least: int, most: int) -> None:
        if most:
            self.widths = (min(self.widths[0] or least, least), max(self.widths[1], most))

    def _read(self, array: pa.Array) -> tuple[Elements, npt.NDArray[np.int64]]:
        """Read all values, and the number of values in each row `(B,)`."""
        if pa.types.is_list(array.type) and pa.types.is_list(array.type.value_type):
            elements, counts = self._read(array.flatten())
            return elements, _sum_by_row(counts, pc.list_parent_indices(array).to_numpy(), len(array))
        is_nested = len(self._separators) > 1  # weights follow the last separator
        rows = read_jagged(array, self.name, self._separators[0], weighted=self._weighted and not is_nested)
        elements, counts = rows.elements, rows.row_lengths().astype(np.int64)
        for separator in self._separators[1:]:
            if isinstance(elements, Spans):
                row_of_element = np.repeat(np.arange(len(array)), counts)
                elements, parts = elements.split(separator)
                counts = _sum_by_row(parts, row_of_element, len(array))
        if is_nested and self._weighted and isinstance(elements, Spans):
            elements = elements.split_weights()[0]
        return elements, counts

    def _count(self, elements: Elements) -> None:
        unique = pc.value_counts(elements.to_arrow() if isinstance(elements, Spans) else pa.array(elements))
        values, counts = unique.field("values"), unique.field("counts").to_numpy()
        self._distinct.add(_hashes(values))
        self._frequent.add(values, counts)

    def _measure(self, elements: Elements) -> None:
        if isinstance(elements, Spans):
            if not (self._as_numbers or self.numbers == self.values - len(elements)):
                self.is_whole = False
                return  # text: earlier values were not numbers
            numbers, is_number = elements.parse_floats()
            numbers = numbers[is_number]
            self.is_whole = self.is_whole and _are_integers(elements)
        else:
            numbers = elements.astype(np.float64, copy=False)
            numbers = numbers[np.isfinite(numbers)]
            is_integer = elements.dtype.kind == "i" or bool((elements == np.trunc(elements)).all())
            self.is_whole = self.is_whole and is_integer
        self.numbers += len(numbers)
        if len(numbers):
            self.moments.add(numbers)
            self._quantiles.add(numbers)


def _are_integers(elements: Spans) -> bool:
    """True if all words are integers, of any number of digits."""
    is_int64 = elements.parse_integers()[1]
    longer = elements[~is_int64].to_arrow()
    return bool(pc.all(pc.match_substring_regex(longer, r"^[+-]?[0-9]+$"), min_count=0).as_py())


def _sum_by_row(counts: npt.NDArray[Any], row_of_part: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """Sum the counts of the parts of each row `(B,)`."""
    return np.bincount(row_of_part, counts, rows).astype(np.int64)


def _hashes(values: pa.Array) -> npt.NDArray[np.uint64]:
    """Hash each value `(N,)`; text is hashed as features hash it."""
    if pa.types.is_large_string(values.type):
        return split(values)[0].hash(_HASHES).view(np.uint64) << np.uint64(1)
    numbers = values.to_numpy()
    integers = (
        numbers if numbers.dtype.kind == "i" else (numbers.astype(np.float64) + 0.0).view(np.int64)
    )  # -0.0 is 0.0
    return hyperloglog.mix(np.ascontiguousarray(integers, np.int64))
