"""TimeShape: how the times of a column are written, and when they were, by its first rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tzrec.features import times
from tzrec.profile.quantities import ID_WORD, name_words

_MOST = 0.99
"""Share of the values that must be times."""
_DATES = ("%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%Y.%m.%d", "%m/%d/%y", "%d/%m/%y")
_MONTH_NAMES = ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%y")
_CLOCKS = ("", " %H:%M:%S", " %H:%M", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
_DIGITS_BY_LENGTH = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_TEXT = re.compile(r"(?=.*[0-9]).*[0-9A-Za-z][-/.:, T][0-9A-Za-z].*")
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_FIRST_EPOCH, _LAST_EPOCH = 1_000_000_000, 2_100_000_000
"""Seconds since 1970 that are taken for times: September 2001 to July 2036."""
_NAMED_EPOCH = 86_400 * 365
"""The least of them where the name of the column says that they are."""
_TIME_WORDS = ("date", "time", "timestamp", "ts", "datetime", "dt", "day", "at", "epoch", "when")
_MICROSECONDS_PER_DAY = times.UNITS["days"]


@dataclass(frozen=True)
class TimeShape:
    """Shape of the times of a column.

    Attributes:
        time_format: see `times.to_microseconds`; "" where the type of the column says it.
        first: least time, in microseconds since 1970.
        last: greatest time.
        has_hours: true if some are not at midnight.
    """

    time_format: str
    first: int
    last: int
    has_hours: bool

    @property
    def is_number(self) -> bool:
        """True for numbers of a unit, such as seconds."""
        return self.time_format in times.UNITS or self.time_format == "ns"

    @property
    def format_or_iso(self) -> str:
        """The format to read them by."""
        return self.time_format or times.ISO

    @classmethod
    def of_arrow(cls, array: pa.Array) -> TimeShape | None:
        """Shape of dates or timestamps; None if there is none."""
        return _measured(array, "")

    @property
    def first_day(self) -> str:
        """Date of the least time."""
        return str(np.datetime64(self.first, "us").astype("datetime64[D]"))

    def widened(self, microseconds: np.ndarray) -> TimeShape:
        """The shape with other times `(N,)`, at least one."""
        first, last = int(microseconds.min()), int(microseconds.max())
        return self.union(TimeShape(self.time_format, first, last, _have_hours(microseconds)))

    def union(self, other: TimeShape) -> TimeShape:
        """The shape of the times of both."""
        first, last = min(self.first, other.first), max(self.last, other.last)
        return TimeShape(self.time_format, first, last, self.has_hours or other.has_hours)

    def describe(self) -> str:
        """Format the range: `2019-01-02 to 2025-11-20`."""
        days = (np.array([self.first, self.last]) // _MICROSECONDS_PER_DAY).astype("datetime64[D]")
        return f"{days[0]} to {days[1]}"


def time_shape_of_text(name: str, cells: Sequence[str]) -> TimeShape | None:
    """Shape of text if nearly all of it is times.

    Args:
        name: of the column.
        cells: distinct values.
    """
    if all(cell.strip().isdigit() for cell in cells):
        try:
            return time_shape_of_numbers(name, pa.array([int(cell) for cell in cells], pa.int64()))
        except (OverflowError, pa.ArrowInvalid):
            return None
    if not _TEXT.fullmatch(cells[0].strip()):
        return None
    array = pa.array(cells, pa.string())
    candidates = [times.ISO, *(f"{date}{clock}" for date in (*_DATES, *_MONTH_NAMES) for clock in _CLOCKS)]
    return next(filter(None, (_if_times(array, text) for text in candidates)), None)


def time_shape_of_numbers(name: str, array: pa.Array) -> TimeShape | None:
    """Shape of whole numbers if they are days as 20240501, or units since 1970 of recent times."""
    array = array.drop_null()
    if not len(array):
        return None
    numbers = np.asarray(array.cast(pa.float64(), safe=False))
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or len(np.unique(numbers)) < 2:
        return None
    if len(str(int(low))) == len(str(int(high))) in _DIGITS_BY_LENGTH:
        shape = _if_times(array, _DIGITS_BY_LENGTH[len(str(int(low)))])
        if shape is not None:
            return shape
    words = name_words(name)
    is_named = any(word in _TIME_WORDS for word in words)
    if not is_named and any(ID_WORD.fullmatch(word) for word in words):
        return None
    least = _NAMED_EPOCH if is_named else _FIRST_EPOCH
    for unit, scale in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        if least * scale <= low <= high <= _LAST_EPOCH * scale:
            return _measured(array, unit)
    return None


def _if_times(array: pa.Array, time_format: str) -> TimeShape | None:
    """Shape by a format, if nearly all values have it and are within a human's reach."""
    numbers, present, _ = times.to_microseconds(array, time_format, "")
    years = numbers.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
    is_near = present & (years >= _FIRST_YEAR) & (years < _LAST_YEAR)
    return _measured(array, time_format) if is_near.sum() >= _MOST * len(array) > 0 else None


def _measured(array: pa.Array, time_format: str) -> TimeShape | None:
    numbers, present, _ = times.to_microseconds(array, time_format or times.ISO, "")
    numbers = numbers[present]
    if not len(numbers):
        return None
    return TimeShape(time_format, int(numbers.min()), int(numbers.max()), _have_hours(numbers))


def _have_hours(microseconds: np.ndarray) -> bool:
    return bool((microseconds % _MICROSECONDS_PER_DAY != 0).any())
