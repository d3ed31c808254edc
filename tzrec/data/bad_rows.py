"""Bad rows: which rows a batch leaves out, what stops the run, what is counted."""

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
    """One value that could not be used, and where it stands (row: number over all files)."""

    column: str
    reason: str
    value: Any
    row: int


def bad_values(bad: BadRows, rows: npt.NDArray[np.int64]) -> list[BadValue]:
    """The reports about a batch, one by one, by row.

    Args:
        bad: what encoding reported.
        rows: number over all files of every row of the batch.
    """
    found = [
        BadValue(column, reason, value, int(rows[at]))
        for column, reason, places, values in bad.reports
        for at, value in zip(places, values, strict=True)
    ]
    return sorted(found, key=lambda value: value.row)


def stop(values: Sequence[BadValue], describe: Callable[[int], str]) -> DataError:
    """The error that names the first bad value of a batch; `describe` says in words where a row stands."""
    first = values[0]
    what = "is missing" if first.value is None else f"has {str(first.value)!r}"
    more = f" ({len(values) - 1:,} more in this batch)" if len(values) > 1 else ""
    return DataError(
        f'{describe(first.row)}: column "{first.column}" {what}: {first.reason}{more}. Correct the data, or set '
        "data_config.bad_row_policy to DEFAULT (use the feature's default_value) or SKIP_ROW (leave the row out)"
    )


def unlike(value: BadValue, describe: Callable[[int], str]) -> DataError:
    """The error about a cell of a column that is handed on, and whose type the cells before it have settled."""
    return DataError(
        f'{describe(value.row)}: column "{value.column}" has {value.value!r}: {value.reason}, '
        "unlike the cells before it; declare it as STRING in data_config.input_fields to keep it as text"
    )


def left_out(features: BadRows, targets: BadRows, policy: int) -> npt.NDArray[np.bool_]:
    """Rows to leave out: those without a usable label or weight, and under SKIP_ROW every bad one."""
    return features.mask | targets.mask if policy == data_pb2.SKIP_ROW else targets.mask


@dataclass
class BadRowLog:
    """Running counts of bad values, and a file with the first of them.

    Attributes:
        counts: how often each (column, reason) occurred.
        path: where a sample goes, one JSON object a line; None keeps none.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    path: str | None = None
    _sampled: int = 0

    def add(self, values: Sequence[BadValue], reader: Reader) -> None:
        """Count the bad values of one batch."""
        self.counts.update((value.column, value.reason) for value in values)
        sample = values[: SAMPLE_ROWS - self._sampled]
        if self.path is None or not sample:
            return
        self._sampled += len(sample)
        with open(self.path, "a", encoding="utf-8") as out:
            out.writelines(json.dumps(record(value, reader), ensure_ascii=False) + "\n" for value in sample)


def record(value: BadValue, reader: Reader) -> dict[str, Any]:
    """A bad value as an object of the file of samples."""
    spot = reader.spot(value.row)
    shown = None if value.value is None else str(value.value)
    return {"file": spot.file, "row": spot.row, "column": value.column, "reason": value.reason, "value": shown}
