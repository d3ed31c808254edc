"""Columns of times: the time of the row, and the days of the others before it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from tzrec.profile.cell_shapes import cell_shapes
from tzrec.profile.time_columns import TimeColumn, TimeStats, time_columns

VISITS = [datetime(2024, 5, 1, 12) + timedelta(hours=hour) for hour in range(100)]
SIGNUPS = [visit - timedelta(days=index % 30 + 0.5) for index, visit in enumerate(VISITS)]
TABLE = pa.table(
    {
        "signup": [moment.strftime("%d.%m.%Y %H:%M") for moment in SIGNUPS],
        "visit": [int((moment - datetime(1970, 1, 1)).total_seconds()) for moment in VISITS],
        "born_at": [(moment - timedelta(days=9000)).isoformat() for moment in VISITS],
    }
)


def read(*names: str) -> dict[str, TimeColumn]:
    shapes = {name: shape.time for name, shape in cell_shapes(TABLE, names).items()}
    return time_columns(TABLE, {name: time for name, time in shapes.items() if time is not None})


def test_latest_time_is_that_of_the_row_and_others_are_days_before_it() -> None:
    times = read("signup", "visit")
    assert times["visit"].is_row_time and not times["signup"].is_row_time
    assert times["signup"].params("days") == {"part": "days", "format": "%d.%m.%Y %H:%M", "format2": "s"}
    assert times["signup"].params("hour") == {"part": "hour", "format": "%d.%m.%Y %H:%M"}
    stats = TimeStats(times["signup"])
    (batch,) = TABLE.to_batches()
    stats.add_batch(batch)
    assert (stats.numbers, stats.moments.least, stats.moments.most) == (100, 0.5, 29.5)


def test_range_of_times_is_that_of_all_rows() -> None:
    look = time_columns(TABLE, {"visit": cell_shapes(TABLE.slice(0, 5), ["visit"])["visit"].time})  # type: ignore[dict-item]
    assert look["visit"].shape.describe() == "2024-05-01 to 2024-05-01"
    stats, other = TimeStats(look["visit"]), TimeStats(look["visit"])
    stats.add_batch(TABLE.slice(0, 50).to_batches()[0])
    other.add_batch(TABLE.slice(50).to_batches()[0])
    stats.merge(other)
    assert stats.time.shape.describe() == "2024-05-01 to 2024-05-05"
    assert (look["visit"].parts, stats.time.parts) == (["hour"], ["hour", "weekday"])


def test_time_whose_name_says_another_one_counts_from_its_first_day() -> None:
    times = read("born_at")
    assert not times["born_at"].row_time
    assert times["born_at"].params("days") == {"part": "days", "since": "1999-09-10"}
    assert times["born_at"].parts == ["hour", "weekday"]


@pytest.mark.parametrize("names", [("visit",), ("visit", "born_at")])
def test_single_time_is_that_of_the_row(names: tuple[str, ...]) -> None:
    assert read(*names)["visit"].is_row_time
