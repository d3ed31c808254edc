"""TimePart, the operator of custom_feature that reads times, against Python's datetime."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import ConfigError, DataError
from tzrec.features.operators.time_part import TimePart

MOMENTS = [datetime(2024, 2, 29, 23, 59), datetime(1969, 12, 31, 1, 2), datetime(2026, 11, 30, 0, 0)]


def call(params: dict[str, str], *columns: Any) -> list[Any]:
    operator = TimePart(params)
    operator.bind(tuple(f"c{index}" for index in range(len(columns))))
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    return operator(*arrays).to_pylist()


def written(time_format: str) -> Any:
    """The moments as values of a format."""
    if time_format in ("s", "ms", "us", "ns"):
        scale = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}[time_format]
        return [int(moment.replace(tzinfo=timezone.utc).timestamp()) * scale for moment in MOMENTS]
    if time_format == "arrow":
        return pa.array(MOMENTS, pa.timestamp("ms"))
    if time_format == "iso":
        return [moment.isoformat() for moment in MOMENTS]
    return [moment.strftime(time_format) for moment in MOMENTS]


@pytest.mark.parametrize("time_format", ["iso", "arrow", "s", "ms", "us", "ns", "%d.%m.%Y %H:%M", "%Y%m%d%H%M"])
@pytest.mark.parametrize("as_text", [False, True])
def test_parts_of_every_format_are_those_of_the_calendar(time_format: str, as_text: bool) -> None:
    column = written(time_format)
    if as_text and isinstance(column, list):
        column = [f" {cell} " for cell in column]
    params = {} if time_format == "arrow" else {"format": time_format}
    expected = {
        "hour": [moment.hour for moment in MOMENTS],
        "weekday": [moment.weekday() for moment in MOMENTS],
        "day": [moment.day for moment in MOMENTS],
        "month": [moment.month for moment in MOMENTS],
    }
    assert {part: call({"part": part, **params}, column) for part in expected} == expected
    days = call({"part": "days", "since": "2024-01-01", **params}, column)
    exact = [(moment - datetime(2024, 1, 1)).total_seconds() / 86_400 for moment in MOMENTS]
    assert days == pytest.approx(exact)


def test_days_between_two_times_have_the_sign_of_their_order() -> None:
    params = {"part": "days", "format": "%Y%m%d", "format2": "iso"}
    assert call(params, [20240101, 20240103], ["2024-01-02T12:00", "2024-01-02"]) == [1.5, -1.0]


def test_dates_and_zones_are_read_by_the_clock_that_wrote_them() -> None:
    assert call({"part": "hour"}, ["2024-05-01T07:30:00+02:00", "2024-05-01 07:30Z", "2024-05-01"]) == [7, 7, 0]
    stamps = pa.array([datetime(2024, 5, 1, 22)], pa.timestamp("s", "Asia/Shanghai"))
    assert call({"part": "hour"}, stamps) == [6]
    assert call({"part": "month"}, pa.array([0, 31], pa.int32()).cast(pa.date32())) == [1, 2]


def test_missing_time_is_null_and_a_wrong_one_is_bad() -> None:
    cells = ["", None, "soon", "2024-02-30", "2024-02-29"]
    assert call({"part": "day"}, cells) == [None, None, -1, -1, 29]
    days = call({"part": "days", "since": "2024-02-28"}, cells)
    assert days[:2] == [None, None] and np.isnan(days[2:4]).all() and days[4] == 1.0
    assert call({"part": "days"}, ["2024-01-01", None, "x"], [None, "2024-01-01", "2024-01-01"])[:2] == [None, None]


@pytest.mark.parametrize(
    ("params", "inputs", "message"),
    [
        ({}, 1, "TimePart needs part, one of hour, weekday, day, month, days; received ''"),
        ({"part": "hour", "format": "seconds"}, 1, "format 'seconds' is neither one of iso, days, s, ms, us, ns nor"),
        ({"part": "days"}, 1, "days of one input need since, the date from which they count, such as 2024-01-01"),
        ({"part": "days", "since": "May"}, 1, "since 'May' is no date such as 2024-01-01"),
        ({"part": "hour"}, 2, "2 inputs; hour reads one time"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, str], inputs: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        call(params, *[["2024-01-01"]] * inputs)


def test_column_of_another_type_is_refused() -> None:
    with pytest.raises(DataError, match='column "c0" has type bool, which holds no times'):
        call({"part": "hour"}, [True])
