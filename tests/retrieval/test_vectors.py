from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tzrec.errors import DataError
from tzrec.retrieval.vectors import ItemVectors, to_ids, to_interests, to_vectors

FLOATS = pa.list_(pa.float32())


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, -0.5], [2, 4]], FLOATS),
        pa.array([[9, 9], [1, -0.5], [2, 4]], FLOATS).slice(1),
        pa.chunked_array([pa.array([[1, -0.5]], FLOATS), pa.array([[2, 4]], FLOATS)]),
        pa.array([[1, -0.5], [2, 4]], pa.list_(pa.float64(), 2)),
        pa.array([[9, 9], [1, -0.5], [2, 4]], pa.list_(pa.float64(), 2)).slice(1),
        pa.array([[1, -0.5], [2, 4]], pa.large_list(pa.float64())),
        pa.array([[np.float16(1), np.float16(-0.5)], [np.float16(2), np.float16(4)]], pa.list_(pa.float16())),
        pa.array([[[1, -0.5]], [[2, 4]]], pa.list_(FLOATS)),
        pa.array(["1,-0.5", "2, 4.0"]),
        pa.array(["[1,-0.5]", "[2e0,4]"], pa.large_string()),
    ],
    ids=lambda column: str(column.type),
)
def test_to_vectors_reads_lists_of_any_type_and_text(column: Any) -> None:
    vectors = to_vectors(column, "emb")
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, -0.5], [2, 4]]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[1.0, 2.0], [3.0]]), 'row 1: column "emb" has 1 number; the first row has 2 numbers. All rows must'),
        (pa.array([[1.0, 2.0], None]), 'row 1: column "emb" has no vector; remove the row, or fill it in'),
        (pa.array([[1.0, 2.0], [3.0, None]]), 'row 1: column "emb" has a number that is missing or not finite'),
        (pa.array([[1.0, float("inf")]]), 'row 0: column "emb" has a number that is missing or not finite'),
        (pa.array([[1.0], [1e39]]), 'row 1: column "emb" has a number that is missing or not finite in float32'),
        (pa.array([[]], FLOATS), 'row 0: column "emb" has 0 numbers; a vector cannot be empty'),
        (pa.array([1.0, 2.0]), 'column "emb" is double; a vector is a list of numbers, or text such as "0.25,-1"'),
        (pa.array([["a"]]), 'column "emb" is list<item: string>; a vector is a list of numbers'),
        (pa.array(["1,2", "1,x"]), "row 1: column \"emb\" has 'x' in place of a number"),
        (pa.array(["1,2", ""]), "row 1: column \"emb\" has '' in place of a number"),
    ],
)
def test_to_vectors_of_invalid_column_names_row_and_cure(column: pa.Array, message: str) -> None:
    with pytest.raises(DataError) as error:
        to_vectors(column, "emb")
    assert message in str(error.value)


def test_to_vectors_of_other_width_names_both_widths() -> None:
    with pytest.raises(
        DataError, match=r'^x:3: column "emb" has 2 numbers; the index has vectors of 4\. Use vectors of'
    ):
        to_vectors(pa.array([[1.0, 2.0]]), "emb", 4, lambda row: f"x:{row + 3}")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[[1, 2], [3, 4]], [[5, 6]]], pa.list_(FLOATS)),
        pa.array([[1, 2, 3, 4], [5, 6]], FLOATS),
        pa.array(["1,2;3,4", "5,6"]),
        pa.array(["[[1,2],[3,4]]", "[[5,6]]"]),
    ],
    ids=["nested", "flat", "text", "JSON"],
)
def test_to_interests_fills_missing_interests_with_zeros(column: pa.Array) -> None:
    assert to_interests(column, "emb", 2, 2).tolist() == [[[1, 2], [3, 4]], [[5, 6], [0, 0]]]


@pytest.mark.parametrize("row", [[1.0, 2.0, 3.0], [1.0] * 6])
def test_to_interests_of_other_width_names_widths_and_flag(row: list[float]) -> None:
    message = rf'^row 1: column "emb" has {len(row)} numbers; the items have vectors of 2, and a user has at most 2 .*'
    with pytest.raises(DataError, match=message + "--num_interests"):
        to_interests(pa.array([[1.0, 2.0], row]), "emb", 2, 2)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([3, 1], pa.int32()), pa.array([3, 1])),
        (pa.array([2**64 - 1, 1], pa.uint64()), pa.array(["18446744073709551615", "1"], pa.large_string())),
        (pa.array(["é", ""]), pa.array(["é", ""], pa.large_string())),
        (pa.array(["b", "a"]).dictionary_encode(), pa.array(["b", "a"], pa.large_string())),
    ],
)
def test_to_ids_converts_to_int64_or_text(column: pa.Array, expected: pa.Array) -> None:
    assert to_ids(column, "id").equals(expected)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0]), 'column "id" of ids is double; convert it to whole numbers or text'),
        (pa.array([1, None]), 'row 1: column "id" has no id; remove the row'),
        (pa.array(["a", "b\nc"]), "row 1: column \"id\" has an id with a line break: 'b\\nc'; replace it"),
    ],
)
def test_to_ids_of_invalid_column_names_row_and_cure(column: pa.Array, message: str) -> None:
    with pytest.raises(DataError) as error:
        to_ids(column, "id")
    assert message in str(error.value)


def test_item_vectors_keep_first_row_of_each_id(caplog: pytest.LogCaptureFixture) -> None:
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    items = ItemVectors.of(pa.array([7, 3, 7, 5, 3]), values)
    assert items.ids.to_pylist() == [7, 3, 5]
    assert items.values.tolist() == values[[0, 1, 3]].tolist()
