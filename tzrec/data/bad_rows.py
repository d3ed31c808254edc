"""Bad rows: the rows that a batch skips, the error that stops a run, and counts of bad values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tzrec.data.reader import Reader
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.protos import data_pb2

SAMPLE_ROWS = 100


@dataclass(frozen=True)
class BadValue:
    """A value that cannot be used, with the number of its row over all files."""

    column: str
    reason: str
    value: Any
    row: int


def bad_values(bad: BadRows, rows: npt.NDArray[np.int64]) -> list[BadValue]:
    """List the bad values of a batch, sorted by row.

    Args:
        bad: reports of the encoders.
        rows: number over all files of every row of the batch.
    """
    result = [
        BadValue(column, reason, value, int(rows[index]))
        for column, reason, indices, values in bad.reports
        for index, value in zip(indices, values, strict=True)
    ]
    return sorted(result, key=lambda value: value.row)


def bad_value_error(values: Sequence[BadValue], describe: Callable[[int], str]) -> DataError:
    """Create the error for the first bad value of a batch; `describe` formats the location of a row."""
    first = values[0]
    received = "is missing" if first.value is None else f"has {str(first.value)!r}"
    more = f" ({len(values) - 1:,} more in this batch)" if len(values) > 1 else ""
    return DataError(
        f'{describe(first.row)}: column "{first.column}" {received}: {first.reason}{more}. Correct the data, or set '
        "data_config.bad_row_policy to DEFAULT (use the feature's default_value) or SKIP_ROW (skip the row)"
    )


def text_type_error(value: BadValue, describe: Callable[[int], str]) -> DataError:
    """Create the error for a cell of a copied column that does not have the type inferred from earlier cells."""
    return DataError(
        f'{describe(value.row)}: column "{value.column}" has {value.value!r}: {value.reason}, '
        "unlike earlier cells; declare the column as STRING in data_config.input_fields to keep it as text"
    )


def skipped_rows(features: BadRows, targets: BadRows, policy: int) -> npt.NDArray[np.bool_]:
    """Mask of rows to skip `(B,)`: those without a valid label or weight, and with SKIP_ROW all bad rows."""
    return features.mask | targets.mask if policy == data_pb2.SKIP_ROW else targets.mask


@dataclass
class BadRowLog:
    """Counts of bad values, and a file with a sample of them.

    Attributes:
        counts: number of bad values by (column, reason).
        path: file for the sample, one JSON object per line; None for no file.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    path: str | None = None
    _num_sampled: int = 0

    def add(self, values: Sequence[BadValue], reader: Reader) -> None:
        """Add the bad values of one batch."""
        self.counts.update((value.column, value.reason) for value in values)
        sample = values[: SAMPLE_ROWS - self._num_sampled]
        if self.path is None or not sample:
            return
        self._num_sampled += len(sample)
        with open(self.path, "a", encoding="utf-8") as out:
            out.writelines(json.dumps(to_record(value, reader), ensure_ascii=False) + "\n" for value in sample)


def to_record(value: BadValue, reader: Reader) -> dict[str, Any]:
    """Convert a bad value to an object of the sample file."""
    location = reader.locate(value.row)
    text = None if value.value is None else str(value.value)
    return {
        "file": location.file,
        "row": location.row,
        "column": value.column,
        "reason": value.reason,
        "value": text,
    }
