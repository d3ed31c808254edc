"""Rows that a first config holds out by the time of the row: the latest ones, as those to come are later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from tzrec.config.eval_split import evaluation_path
from tzrec.features import times
from tzrec.features.arrays import BoolArray
from tzrec.features.column_types import decode
from tzrec.profile.column_reading import ColumnReading
from tzrec.profile.row_sample import RowSample, numbers_of
from tzrec.profile.rules import Suggestion
from tzrec.profile.time_columns import TimeColumn
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_SHARE = 0.1
_LEAST, _MOST = 0.03, 0.3
"""Shares of the rows that may be held out where many rows have one time, such as a day."""
_MIN_ROWS, _MIN_CLASS = 1000, 20


def hold_out_latest(
    config: EasyRecConfig, readings: Sequence[ColumnReading], sample: RowSample, labels: Sequence[str]
) -> Iterator[Suggestion]:
    """Hold the latest tenth of the rows out, where a column has the time of the row and nothing else is evaluated.

    Args:
        config: to change.
        readings: of all columns.
        sample: of the rows, with the column of times and the labels.
        labels: names of the label columns; both parts must have enough rows of each class.
    """
    time = next((item.time for item in readings if item.time is not None and item.time.is_row_time), None)
    if time is None or evaluation_path(config) or sample.num_kept < _MIN_ROWS:
        return
    table = sample.table()
    bound, is_late = _latest(decode(_single(table.column(time.name))), time)
    if bound and all(_has_classes(_single(table.column(name)), is_late) for name in labels):
        split = config.data_config.eval_split
        split.column = time.name
        setattr(split, "from", bound)  # a keyword of Python
        reason = (
            f"the latest {100 * is_late.mean():.2g} % of the rows by {time.name}, from {bound}; if the rows to score "
            "are not later ones, write fraction: 0.1 instead of column and from"
        )
        yield Suggestion(bound, reason, "data_config.eval_split.from")


def _latest(column: pa.Array, time: TimeColumn) -> tuple[str, BoolArray]:
    """The time from which rows are held out, as the column writes it, and these rows `(B,)`; "" if there is none.

    Text is compared letter by letter, so that its order must be that of the times.
    """
    moments, present, _ = times.to_microseconds(column, time.shape.format_or_iso, time.name)  # (B,)
    if not present.any():
        return "", present
    distinct, counts = np.unique(moments[present], return_counts=True)
    shares = np.cumsum(counts[::-1])[::-1] / counts.sum()  # of rows from each time on
    nearest = int(np.abs(shares - _SHARE).argmin())
    row = int(np.flatnonzero(present & (moments == distinct[nearest]))[0])
    is_late = present & (moments >= distinct[nearest])
    if not (_LEAST <= shares[nearest] <= _MOST and _is_in_order(column, row, is_late, present)):
        return "", present
    return str(column.cast(pa.string())[row].as_py()), is_late


def _is_in_order(column: pa.Array, row: int, is_late: BoolArray, present: BoolArray) -> bool:
    """True if comparing cells with that of a row finds the late rows."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return True
    bound = column[row].as_py()
    is_after = np.array([cell is not None and cell >= bound for cell in column.to_pylist()])
    return bool((is_after == is_late)[present].all()) and not is_after[~present].any()


def _has_classes(column: pa.Array, is_late: BoolArray) -> bool:
    """True if a label that has two values has enough rows of both, early and late."""
    numbers = numbers_of(column)
    if numbers is None:
        return True
    values = np.unique(numbers[~np.isnan(numbers)])
    if len(values) != 2:
        return True
    parts = (numbers[is_late], numbers[~is_late])
    return all((part == value).sum() >= _MIN_CLASS for part in parts for value in values)


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
