"""Columns split into sequence elements, compared to plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.reference import text as reference
from tests.fixtures.random_text import quick, text
from tzrec.features.jagged import positions
from tzrec.features.sequence import ElementArray, is_missing, read_elements

slices = st.tuples(st.integers(0, 4), st.integers(0, 12))
limits, fills = st.integers(0, 3), st.booleans()


def by_row(elements: ElementArray) -> list[list[Any]]:
    values, ends = elements.values.to_pylist(), np.cumsum(elements.lengths).tolist()
    assert len(values) == sum(elements.lengths)
    return [values[end - count : end] for end, count in zip(ends, elements.lengths.tolist(), strict=True)]


@quick
@given(
    rows=st.lists(st.none() | text, max_size=12),
    delimiter=st.sampled_from([",", "|", "\x1d", "||", "模", "ab"]),
    limit=limits,
    fill=fills,
    kind=st.sampled_from([pa.string(), pa.large_string()]),
    part_slice=slices,
)
def test_strings_are_split_into_elements(
    rows: list[str | None], delimiter: str, limit: int, fill: bool, kind: pa.DataType, part_slice: tuple[int, int]
) -> None:
    elements = read_elements(pa.array(rows, kind).slice(*part_slice), delimiter, limit, fill)
    assert by_row(elements) == reference.split_elements(
        rows[part_slice[0] : part_slice[0] + part_slice[1]], delimiter, limit, fill
    )


@quick
@given(
    rows=st.lists(st.none() | st.lists(st.none() | st.integers(-9, 9), max_size=5), max_size=8),
    limit=limits,
    fill=fills,
    kind=st.sampled_from([pa.list_(pa.int32()), pa.large_list(pa.int64())]),
    part_slice=slices,
)
def test_lists_are_split_into_elements(
    rows: list[list[int | None] | None], limit: int, fill: bool, kind: pa.DataType, part_slice: tuple[int, int]
) -> None:
    elements = read_elements(pa.array(rows, kind).slice(*part_slice), ";", limit, fill)
    part = rows[part_slice[0] : part_slice[0] + part_slice[1]]
    assert by_row(elements) == [row[: limit or None] if row else [None] * fill for row in part]


@quick
@given(rows=st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), extra=st.integers(0, 3))
def test_shorter_rows_are_padded_with_null(rows: list[list[int]], extra: int) -> None:
    elements = read_elements(pa.array(rows, pa.list_(pa.int64())), ";", 0, fill=False)
    longer = np.array([len(row) + (i + extra) % 3 for i, row in enumerate(rows)], np.int32)
    assert by_row(ElementArray(elements.pad(longer), longer)) == [
        row + [None] * (count - len(row)) for row, count in zip(rows, longer.tolist(), strict=True)
    ]


def test_other_values_are_one_element() -> None:
    maps = pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64()))
    assert by_row(read_elements(maps, ";", 0, fill=True)) == [[[("a", 1)]], [None]]
    assert by_row(read_elements(pa.array([1.5, None]), ";", 0, fill=False)) == [[1.5], []]
    fixed = pa.array([[1, 2], None], pa.list_(pa.int64(), 2))
    assert by_row(read_elements(fixed, ";", 1, fill=False)) == [[1], []]


def test_positions_count_within_rows() -> None:
    assert positions(np.array([2, 0, 3], np.int32)).tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["", None, "a", ";"]), [True, True, False, False]),
        (pa.array([[], None, [None], [1]]), [True, True, False, False]),
        (pa.array([0, None, 1, 2]), [False, True, False, False]),
        (pa.array(["", None, "a", ";"]).dictionary_encode(), [True, True, False, False]),
    ],
)
def test_is_missing_of_rows(array: pa.Array, expected: list[bool]) -> None:
    assert is_missing(array, np.arange(4)).tolist() == expected
    assert is_missing(array, np.array([3, 1])).tolist() == [expected[3], expected[1]]
