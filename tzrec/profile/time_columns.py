"""Columns of times: the one of the row, the others as days before it, and statistics of what their features compute."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.features import times
from tzrec.features.column_types import decode
from tzrec.features.operators.time_part import TimePart
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.quantities import name_words
from tzrec.profile.time_shapes import TimeShape

_MOST = 0.99
"""Share of the rows in which the time of the row is the latest one."""
_OTHER_WORD = re.compile(
    "birth|born|birthday|dob|signup|registered|registration|joined|join|created|opened|since|first|last|start|expiry|"
    "expires|released?|updated|modified|member|hired"
)
"""Words of a name that says another time than that of the row."""


@dataclass(frozen=True)
class TimeColumn:
    """A column of times, and the time that its days are counted to.

    Attributes:
        name: of the column.
        shape: of its times.
        row_time: name of the column with the time of the row, "" if there is none; that column has its own name.
        row_format: of that column.
        since: date that the days are counted from where there is no time of the row.
    """

    name: str
    shape: TimeShape
    row_time: str = ""
    row_format: str = ""
    since: str = ""

    @property
    def is_row_time(self) -> bool:
        """True for the time of the row itself, whose days say nothing of rows to come."""
        return self.row_time == self.name

    @property
    def parts(self) -> list[str]:
        """Parts of the times that differ: hour, weekday."""
        is_one_day = self.shape.last - self.shape.first < times.UNITS["days"]
        return [part for part, differs in (("hour", self.shape.has_hours), ("weekday", not is_one_day)) if differs]

    @property
    def has_row_time(self) -> bool:
        """True if another column has the time of the row."""
        return bool(self.row_time) and not self.is_row_time

    def day_columns(self) -> list[str]:
        """Columns that the days are counted between."""
        return [self.name, self.row_time] if self.has_row_time else [self.name]

    def params(self, part: str) -> dict[str, Any]:
        """Parameters of TimePart, to compute a part."""
        values = {"part": part}
        if self.shape.time_format not in ("", times.ISO):
            values["format"] = self.shape.time_format
        if part == "days" and self.has_row_time:
            if self.row_format != self.shape.format_or_iso:
                values["format2"] = self.row_format
        elif part == "days":
            values["since"] = self.since
        return values


class TimeStats(ColumnStats):
    """Statistics of the days that a time column is counted in.

    Attributes:
        time: the column, whose shape is that of all rows once these are added.
    """

    def __init__(self, time: TimeColumn) -> None:
        super().__init__(time.name)
        self.time = time
        self._columns = time.day_columns()
        self._operator = TimePart(time.params("days"))
        self._operator.bind(tuple(self._columns))

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add the days of B rows, and widen the shape to their times."""
        array = decode(batch.column(self.name))
        numbers, present, _ = times.to_microseconds(array, self.time.shape.format_or_iso, self.name)
        if present.any():
            self._widen_shape(self.time.shape.widened(numbers[present]))
        self.add(self._operator(*(decode(batch.column(name)) for name in self._columns)))

    def merge(self, other: ColumnStats) -> None:
        """Add the statistics of other rows."""
        assert isinstance(other, TimeStats)
        super().merge(other)
        self._widen_shape(self.time.shape.union(other.time.shape))

    def _widen_shape(self, shape: TimeShape) -> None:
        self.time = replace(self.time, shape=shape)


def time_columns(rows: pa.Table, shape_by_column: Mapping[str, TimeShape]) -> dict[str, TimeColumn]:
    """Find the time of the row among columns of times: no other one is later, and its name says nothing else.

    Args:
        rows: the first rows.
        shape_by_column: columns of times.
    """
    numbers = {name: _microseconds(rows, name, shape) for name, shape in shape_by_column.items()}
    candidates = [name for name in sorted(numbers, key=_says_another) if name and ":" not in name]  # for expressions
    row_time = next((name for name in candidates if _is_latest(name, numbers)), "")
    if row_time and _says_another(row_time):
        row_time = ""
    row_format = shape_by_column[row_time].format_or_iso if row_time else ""
    return {
        name: TimeColumn(name, shape, row_time, row_format, shape.first_day) for name, shape in shape_by_column.items()
    }


def _says_another(name: str) -> bool:
    return any(_OTHER_WORD.fullmatch(word) for word in name_words(name))


def _microseconds(rows: pa.Table, name: str, shape: TimeShape) -> np.ndarray:
    """Times of the rows, `(B,)`, nan where there is none."""
    array = decode(pa.chunked_array(rows.column(name)).combine_chunks())
    numbers, present, _ = times.to_microseconds(array, shape.format_or_iso, name)
    return np.where(present, numbers, np.nan)


def _is_latest(name: str, numbers: Mapping[str, np.ndarray]) -> bool:
    """True if the times of a column are not before those of any other one."""
    for other in numbers.values():
        both = np.isfinite(numbers[name]) & np.isfinite(other)
        if both.any() and (numbers[name][both] >= other[both]).mean() < _MOST:
            return False
    return True
