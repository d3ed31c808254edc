"""Times: dates and times of a column, as Arrow types, text or numbers, on one scale."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import DataError
from tzrec.features.arrays import BoolArray, Int64Array

ISO = "iso"
"""Text such as 2024-05-01, 2024-05-01 17:30, 2024-05-01T17:30:05.25; a time zone at the end is left out."""
UNITS = {"days": 86_400_000_000, "s": 1_000_000, "ms": 1000, "us": 1}
"""Microseconds of the units of numbers; ns has fewer than one."""
FORMATS = (ISO, *UNITS, "ns")
_MICROSECONDS = pa.timestamp("us")
_ZONE = r"(?:\s?(?:Z|UTC|GMT)|\s?[+-][0-9]{2}:?[0-9]{2})$"
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)?$"
_DAY = np.int64(UNITS["days"])


def is_format(text: str) -> bool:
    """True for a unit, `ISO`, or directives of strptime."""
    return text in FORMATS or re.search(r"%[YyGsc]", text) is not None


def to_microseconds(array: pa.Array, time_format: str, column: str) -> tuple[Int64Array, BoolArray, BoolArray]:
    """Read times as microseconds since 1970, by the clock of their own time zone.

    Args:
        array: B rows of dates, timestamps, text or numbers; types of Arrow that say what they are need no format.
        time_format: `ISO`, directives of strptime, or the unit of numbers since 1970: days, s, ms, us or ns.
        column: its name, for the error.

    Returns:
        int64 `(B,)`; true where there is a time, `(B,)`; true where there is a value that is none, `(B,)`.

    Raises:
        DataError: the column has another type.
    """
    times = _to_timestamps(array, time_format, column)
    present = np.asarray(times.is_valid())
    given = np.asarray(array.is_valid())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        given = given & np.asarray(pc.not_equal(pc.utf8_trim_whitespace(array), "").fill_null(False))
    return times.cast(pa.int64()).fill_null(0).to_numpy(), present, given & ~present


def parts(microseconds: Int64Array) -> dict[str, Int64Array]:
    """Hour from 0 to 23, weekday from 0 for Monday, day from 1 to 31 and month from 1 to 12, each `(B,)`."""
    days = np.floor_divide(microseconds, _DAY)
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    return {
        "hour": (microseconds - days * _DAY) // np.int64(3_600_000_000),
        "weekday": (days + 3) % 7,  # 1970-01-01 was a Thursday
        "day": (dates - months.astype("datetime64[D]")).astype(np.int64) + 1,
        "month": months.astype(np.int64) % 12 + 1,
    }


def _to_timestamps(array: pa.Array, time_format: str, column: str) -> pa.Array:
    """Convert to timestamps of microseconds; null where a value is no time."""
    kind = array.type
    if pa.types.is_null(kind):
        return array.cast(_MICROSECONDS)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        if pa.types.is_timestamp(kind) and kind.tz:
            array = pc.local_timestamp(array)
        return array.cast(_MICROSECONDS, safe=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.utf8_trim_whitespace(array)
        return _of_numbers(_numbers(text), time_format) if _is_unit(time_format) else _of_text(text, time_format)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if _is_unit(time_format):
            return _of_numbers(array.cast(pa.float64(), safe=False) if time_format == "days" else array, time_format)
        return _of_text(_digits(array), time_format)
    raise DataError(f'column "{column}" has type {kind}, which holds no times; write dates, timestamps or text')


def _is_unit(time_format: str) -> bool:
    return time_format in UNITS or time_format == "ns"


def _digits(array: pa.Array) -> pa.Array:
    """Text of whole numbers, such as 20240501."""
    return array.cast(pa.int64(), safe=False).cast(pa.string())


def _numbers(text: pa.Array) -> pa.Array:
    """Read numbers; null for other text."""
    is_number = pc.match_substring_regex(text, r"^[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?$")
    return pc.if_else(is_number, text, None).cast(pa.float64())


def _of_numbers(array: pa.Array, unit: str) -> pa.Array:
    """Convert numbers of a unit since 1970; null for those that no calendar holds."""
    numbers = np.asarray(array.cast(pa.float64(), safe=False).fill_null(np.nan))
    scaled = numbers / 1000 if unit == "ns" else numbers * UNITS[unit]
    is_time = np.isfinite(scaled) & (np.abs(scaled) < 2.0**62)
    return pa.array(np.where(is_time, scaled, 0).astype(np.int64), mask=~is_time).cast(_MICROSECONDS)


def _of_text(text: pa.Array, time_format: str) -> pa.Array:
    if time_format != ISO:
        return pc.strptime(text, format=time_format, unit="us", error_is_null=True)
    text = pc.replace_substring_regex(text, _ZONE, "")
    text = pc.if_else(pc.match_substring_regex(text, _ISO), text, None)
    try:
        return text.cast(_MICROSECONDS)
    except pa.ArrowInvalid:  # a day that is not in the calendar
        return pa.array([_parse(cell) for cell in text.to_pylist()], _MICROSECONDS)


def _parse(cell: str | None) -> np.datetime64 | None:
    if cell is not None:
        with contextlib.suppress(ValueError):
            return np.datetime64(cell, "us")
    return None
