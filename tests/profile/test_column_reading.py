from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.column_stats import column_stats
from tzrec.profile.cell_shapes import ColumnShape
from tzrec.profile.column_reading import label_reading, read_column
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.quantities import Kind


def column(name: str, values: Any) -> ColumnStats:
    return column_stats(values, name=name)


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [("age", Kind.NAME, "category"), ("zip", Kind.EITHER, "both"), ("price", Kind.SKIPPED, "left out")],
)
def test_kind_that_the_user_gives_wins_over_the_data(name: str, kind: Kind, word: str) -> None:
    reading = read_column(column(name, np.arange(100) % 60), kind)
    assert (reading.kind, reading.taken_as, reading.override) == (kind, word, "")
    assert reading.evidence.startswith("--as says so")


def test_whole_number_is_read_with_its_evidence_and_an_override() -> None:
    reading = read_column(column("age", np.arange(100) % 60))
    assert (reading.taken_as, reading.evidence) == ("number", "its name says age; 60 values, 0 to 59")
    assert reading.override == "--as age=category"
    assert read_column(column("an age", np.arange(100) % 60)).override == '--as "an age=category"'


def test_text_is_described_by_its_values() -> None:
    few = read_column(column("city", ["a", "b", None, "a"]))
    assert (few.taken_as, few.evidence, few.override) == ("category", "2 values, 25 % missing", "")
    many = read_column(column("city", [f"v{i % 150}" for i in range(300)]))
    assert (many.taken_as, many.evidence) == ("id", "150 values")
    tags = read_column(column("tags", ["a\x1db", "c"]))
    assert tags.evidence == "3 values, 1 to 2 in a row"


def test_label_is_read_as_label() -> None:
    reading = label_reading(column("clk", [0, 1, 1]))
    assert (reading.taken_as, reading.evidence) == ("label", "2 values, 0 to 1")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("a:b", [1, 2], "an expression cannot contain the colon of its name; rename it"),
        ("none", pa.array([None, None], pa.string()), "it holds no values"),
        ("same", [7, 7], "it has the same value in all rows"),
        ("key", np.arange(2000), "nearly every row has its own value, 2,000 in 2,000"),
    ],
)
def test_column_without_information_is_left_out(name: str, values: Any, reason: str) -> None:
    reading = read_column(column(name, values))
    assert (reading.is_left_out, reading.taken_as, reading.evidence) == (True, "left out", reason)


def test_lists_of_numbers_of_no_fixed_width_are_no_vector() -> None:
    stats = column("lists", [[1.0, 2.5], [3.0]])
    assert read_column(stats, shape=ColumnShape(is_list=True)).kind == Kind.VALUES
    reading = read_column(stats, Kind.QUANTITY, ColumnShape(is_list=True))
    assert reading.evidence == "rows with 1 to 2 numbers have no fixed width; --as lists=values buckets them"


def test_value_that_is_sometimes_missing_is_information() -> None:
    assert not read_column(column("sometimes", [7, None])).is_left_out
