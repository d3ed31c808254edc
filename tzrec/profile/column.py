"""ColumnStats: all that is found out about one column, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.features.jagged import Elements, read_jagged
from tzrec.features.text.spans import Spans, split
from tzrec.profile import hyperloglog
from tzrec.profile.hyperloglog import HyperLogLog
from tzrec.profile.misra_gries import FrequentItem, MisraGries
from tzrec.profile.moments import Moments
from tzrec.profile.quantile_sketch import QuantileSketch

_HASHES = 1 << 63


class ColumnStats:
    """One column, whose rows may hold any number of values.

    Attributes:
        name: of the column.
        kind: Arrow type of its values as the data holds them, lists and the text of CSV included.
        rows: how many there were.
        missing: rows without any value.
        values: how many values all rows have.
        widths: least and most values in the rows that have any.
        numbers: values that are finite numbers.
        is_whole: whether all values are whole numbers, those of floating point included.
        moments: mean, standard deviation and range of the numbers.
    """

    def __init__(
        self, name: str, separators: Sequence[str] = ("\x1d",), as_numbers: bool = False, weighted: bool = False
    ) -> None:
        """Look at a column.

        Args:
            name: of the column.
            separators: what stands between values in strings, the outermost first.
            as_numbers: whether text is meant to be numbers, even if some of it is none.
            weighted: whether values are written value:weight; only the value counts.
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
        """Whether all values are numbers."""
        return 0 < self.values == self.numbers

    @property
    def is_exact(self) -> bool:
        """Whether distinct and top hold exact numbers."""
        return self._frequent.short == 0

    @property
    def distinct(self) -> int:
        """How many different values there are; an estimate with a standard error of distinct.ERROR unless is_exact."""
        return self._frequent.known if self.is_exact else round(self._distinct.estimate())

    def top(self, most: int) -> list[FrequentItem]:
        """The most frequent values, as text."""
        return self._frequent.top(most)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Values below which these shares of the numbers lie; ranks are right within quantiles.ERROR."""
        return self._quantiles.at(shares)

    def take(self, batch: pa.RecordBatch) -> None:
        """Take in the column of B rows."""
        self.add(batch.column(self.name))

    def add(self, array: pa.Array) -> None:
        """Take in B rows.

        Raises:
            DataError: the column has a type that no feature can read.
        """
        self.kind = array.type
        elements, lengths = self._read(array)
        self.rows += len(array)
        self.values += len(elements)
        given = lengths[lengths > 0]
        self.missing += len(array) - len(given)
        self._widen(int(given.min(initial=len(elements))), int(given.max(initial=0)))
        if len(elements):
            self._count(elements)
            self._measure(elements)

    def merge(self, other: ColumnStats) -> None:
        """Take in what another one has seen of other rows of the same column."""
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
        """All values, and how many each row has `(B,)`."""
        if pa.types.is_list(array.type) and pa.types.is_list(array.type.value_type):
            elements, steps = self._read(array.flatten())
            return elements, _sums(steps, pc.list_parent_indices(array).to_numpy(), len(array))
        several = len(self._separators) > 1  # the weights come with the last separator
        rows = read_jagged(array, self.name, self._separators[0], weighted=self._weighted and not several)
        elements, counts = rows.elements, rows.row_lengths().astype(np.int64)
        for separator in self._separators[1:]:
            if isinstance(elements, Spans):
                owners = np.repeat(np.arange(len(array)), counts)
                elements, parts = elements.split(separator)
                counts = _sums(parts, owners, len(array))
        if several and self._weighted and isinstance(elements, Spans):
            elements = elements.weighted()[0]
        return elements, counts

    def _count(self, elements: Elements) -> None:
        found = pc.value_counts(elements.arrow() if isinstance(elements, Spans) else pa.array(elements))
        values, counts = found.field("values"), found.field("counts").to_numpy()
        self._distinct.add(_hashes(values))
        self._frequent.add(values, counts)

    def _measure(self, elements: Elements) -> None:
        if isinstance(elements, Spans):
            if not (self._as_numbers or self.numbers == self.values - len(elements)):
                self.is_whole = False
                return  # text, as values before these have shown
            numbers, good = elements.floats()
            numbers = numbers[good]
            self.is_whole = self.is_whole and bool(elements.integers()[1].all())
        else:
            numbers = elements.astype(np.float64, copy=False)
            numbers = numbers[np.isfinite(numbers)]
            whole = elements.dtype.kind == "i" or bool((elements == np.trunc(elements)).all())
            self.is_whole = self.is_whole and whole
        self.numbers += len(numbers)
        if len(numbers):
            self.moments.add(numbers)
            self._quantiles.add(numbers)


def _sums(counts: npt.NDArray[Any], owners: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """What the parts of each row have together `(B,)`."""
    return np.bincount(owners, counts, rows).astype(np.int64)


def _hashes(values: pa.Array) -> npt.NDArray[np.uint64]:
    """A hash of each value `(N,)`; text is hashed as features hash it."""
    if pa.types.is_large_string(values.type):
        return split(values)[0].hash(_HASHES).view(np.uint64) << np.uint64(1)
    numbers = values.to_numpy()
    whole = numbers if numbers.dtype.kind == "i" else (numbers.astype(np.float64) + 0.0).view(np.int64)  # -0.0 is 0.0
    return hyperloglog.mixed(np.ascontiguousarray(whole, np.int64))
