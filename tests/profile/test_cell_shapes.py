"""Shapes of cells: what the first rows of a column tell."""

from __future__ import annotations

import random
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest

from tzrec.profile.cell_shapes import ColumnShape, cell_shapes

RANDOM = random.Random(3)
ITEMS = [f"item{number}" for number in range(50)]


def shape(values: Any, name: str = "c") -> ColumnShape:
    column = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
    return cell_shapes(pa.table({name: column}), [name])[name]


def lists(separator: str, values: list[str] = ITEMS, most: int = 6) -> list[str]:
    return [separator.join(RANDOM.choices(values, k=RANDOM.randint(0, most))) for _ in range(200)]


@pytest.mark.parametrize("separator", ["|", ";", ",", " ", "\x1d", "\x03", "; ", ", "])
def test_lists_in_text_are_found_with_their_separator(separator: str) -> None:
    found = shape(lists(separator))
    assert (found.is_list, found.separator, found.is_weighted) == (True, separator, False)
    assert found.values == frozenset(ITEMS)


@pytest.mark.parametrize("separator", ["|", ";", ",", " "])
def test_weights_and_vectors_are_found_in_text(separator: str) -> None:
    weighted = [separator.join(f"k{RANDOM.randint(0, 9)}:{RANDOM.random():.3f}" for _ in range(3)) for _ in range(100)]
    found = shape(weighted)
    assert (found.separator, found.is_weighted, len(found.values)) == (separator, True, 10)
    vectors = [separator.join(str(RANDOM.random()) for _ in range(4)) for _ in range(100)]
    found = shape(vectors)
    assert (found.separator, found.is_list, found.is_weighted) == (separator, True, False)


@pytest.mark.parametrize(
    "values",
    [
        ["Smith, John", "Doe, Jane", "Roe, Ann", "Poe, Jim"] * 20,
        ["New York", "San Jose", "Los Angeles", "Rome"] * 20,
        [f"street {RANDOM.randint(0, 999)}, town {RANDOM.randint(0, 99)}" for _ in range(200)],
        ["a-b", "c-d", "e"] * 20,
        ["10:30", "11:15", "9:05"] * 20,
        [None, None],
        [],
        ["", " "],
    ],
)
def test_names_and_clocks_are_no_lists(values: list[str]) -> None:
    found = shape(pa.array(values, pa.string()))
    assert (found.separator, found.is_list, found.is_weighted, found.time) == ("", False, False, None)


MOMENTS = [datetime(2024, RANDOM.randint(1, 12), RANDOM.randint(1, 28), RANDOM.randint(1, 23), 5) for _ in range(99)]


@pytest.mark.parametrize(
    "time_format",
    [
        "%Y/%m/%d",
        "%m/%d/%Y %H:%M",
        "%d/%m/%Y",
        "%d.%m.%Y %H:%M:%S",
        "%d-%b-%Y",
        "%b %d, %Y",
        "%m/%d/%Y %I:%M %p",
        "%Y%m%d",
        "%Y%m%d%H%M%S",
    ],
)
def test_times_in_text_are_found_with_their_format(time_format: str) -> None:
    found = shape([moment.strftime(time_format) for moment in MOMENTS]).time
    assert found is not None and found.time_format == time_format
    assert found.has_hours == ("%H" in time_format or "%I" in time_format)
    first = min(MOMENTS).date().isoformat()
    assert found.describe() == f"{first} to {max(MOMENTS).date()}"


@pytest.mark.parametrize("scale", [1, 1000, 10**6, 10**9])
@pytest.mark.parametrize("as_text", [False, True])
def test_numbers_since_1970_are_times_unless_the_name_says_id(scale: int, as_text: bool) -> None:
    numbers = [int(moment.timestamp()) * scale for moment in MOMENTS]
    values = [str(number) for number in numbers] if as_text else numbers
    found = shape(values).time
    assert found is not None and found.time_format == {1: "s", 1000: "ms", 10**6: "us", 10**9: "ns"}[scale]
    assert shape(values, "user_id").time is None
    assert shape(values, "session_time_id").time is not None


def test_numbers_that_are_no_times_stay_numbers() -> None:
    assert shape([3, 500, 70_000]).time is None
    assert shape([-5, 1_700_000_000]).time is None
    assert shape([12345678, 87654321, 99999999]).time is None
    assert shape([1.5e9, 1.6e9]).time is None


def test_types_of_arrow_tell_times_lists_and_maps() -> None:
    dates = shape([date(2024, 5, 1), None, date(2024, 5, 2)]).time
    assert dates is not None and (dates.time_format, dates.has_hours) == ("", False)
    assert shape(pa.array([datetime(2024, 5, 1, 7)] * 2, pa.timestamp("ns", "UTC"))).time is not None
    assert shape([[1, 2], None]).values == {"1", "2"}
    found = shape(pa.array([[("a", 1.0)], [("b", 2.0)]], pa.map_(pa.string(), pa.float64())))
    assert (found.is_weighted, found.values) == (True, {"a", "b"})
    assert shape(pa.array(["a;b", "b;a"] * 9).dictionary_encode()).separator == ";"


def test_numbers_but_for_words_are_numbers_and_spellings_are_named() -> None:
    assert shape([*map(str, range(99)), "soon"]).is_number
    assert shape([*map(str, range(99)), "N/A", ""]).is_number
    assert not shape(["1", "2", "a", "b"]).is_number
    note = shape(["Rome", "rome", " Rome", "Oslo"]).note
    assert note.startswith('1 value is written in several ways (" Rome", "Rome", "rome")')
    assert shape(["Rome", "Oslo"]).note == ""
    assert shape(["a fine red dress", "two old blue shoes"]).is_text
