"""BadRows: the rows of a batch with values that cannot be encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.features.arrays import BoolArray, Int64Array


@dataclass(frozen=True)
class InvalidValues:
    """Elements that cannot be encoded.

    Attributes:
        reason: short and constant, e.g. "not an integer".
        mask: true for each of them, `(N,)`.
    """

    reason: str
    mask: BoolArray


@dataclass
class BadRows:
    """Rows of a batch with values that cannot be encoded, and the reasons.

    Encoders replace every bad value by the feature's default and report it here. The policy (raise, keep or drop the
    row) is applied by the loader.
    """

    size: int
    mask: BoolArray = field(init=False)
    reports: list[tuple[str, str, Int64Array, Sequence[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask = np.zeros(self.size, dtype=np.bool_)

    def report(self, column: str, reason: str, rows: Int64Array, values: Sequence[Any]) -> None:
        """Record bad rows of one column.

        Args:
            column: name of the input column.
            reason: short and constant, e.g. "not an integer", "out of range [0, 100)", "null label".
            rows: positions in the batch.
            values: the values received, one per row.
        """
        if len(rows):
            self.mask[rows] = True
            self.reports.append((column, reason, rows, values))

    def report_array(self, column: str, reason: str, rows: Int64Array, array: pa.Array) -> None:
        """Record bad rows of one column, with their values read from `array`, the column itself `(B,)`."""
        if not len(rows):
            return
        values = array.take(pa.array(rows))
        try:
            received = values.to_pylist()
        except UnicodeDecodeError:
            received = ["text that is not UTF-8"] * len(rows)
        self.report(column, reason, rows, received)

    def report_invalid(
        self, column: str, invalid: Sequence[InvalidValues], row_indices: Int64Array, array: pa.Array
    ) -> BoolArray:
        """Record the rows of invalid elements.

        Args:
            column: name of the input column.
            invalid: masks over N elements.
            row_indices: row of each element, `(N,)`.
            array: the column itself, `(B,)`.

        Returns:
            a mask of the valid elements, `(N,)`.
        """
        valid = np.ones(len(row_indices), np.bool_)
        for problem in invalid:
            self.report_array(column, problem.reason, np.unique(row_indices[problem.mask]), array)
            valid &= ~problem.mask
        return valid

    def add_elements(self, inner: BadRows, row_indices: Int64Array) -> None:
        """Take over the reports of sequence elements, once per row.

        Args:
            inner: reports of S elements.
            row_indices: row of each element, `(S,)`.
        """
        for column, reason, elements, values in inner.reports:
            rows, first = np.unique(row_indices[elements], return_index=True)
            self.report(column, reason, rows, [values[i] for i in first])

    def merge(self, other: BadRows) -> None:
        """Take over the reports of the same rows."""
        for report in other.reports:
            self.report(*report)

    def split(self, first: int) -> tuple[BadRows, BadRows]:
        """Divide the reports into those of the first rows, and those of the others, counted from 0."""
        parts = BadRows(first), BadRows(self.size - first)
        for column, reason, rows, values in self.reports:
            for part, chosen, start in zip(parts, (rows < first, rows >= first), (0, first), strict=True):
                numbers = np.flatnonzero(chosen)
                part.report(column, reason, rows[numbers] - start, [values[i] for i in numbers.tolist()])
        return parts

    def expand(self, owners: Int64Array) -> BadRows:
        """Report for each of the rows what their owners have: the reports of row `owners[i]` for row i."""
        expanded = BadRows(len(owners))
        for column, reason, rows, values in self.reports:
            value_by_row = dict(zip(rows.tolist(), values, strict=True))
            owned = np.flatnonzero(np.isin(owners, rows))
            expanded.report(column, reason, owned, [value_by_row[owner] for owner in owners[owned].tolist()])
        return expanded

    def __bool__(self) -> bool:
        return bool(self.reports)
