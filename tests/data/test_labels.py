from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from tzrec.data.labels import label_values, weight_values
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows


def reported(bad: BadRows) -> list[tuple[str, list[int]]]:
    return [(reason, rows.tolist()) for _, reason, rows, _ in bad.reports]


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64()])
def test_integer_labels_report_nulls(kind: pa.DataType) -> None:
    bad = BadRows(3)
    label = label_values("y", pa.array([2, None, 0], kind), bad)
    assert label.dtype == np.int64
    assert label.tolist() == [2, 0, 0]
    assert reported(bad) == [("null label", [1])]
    assert bad.mask.tolist() == [False, True, False]


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_float_labels_report_nulls_and_not_finite_numbers(kind: pa.DataType) -> None:
    bad = BadRows(4)
    label = label_values("y", pa.array([0.5, math.nan, None, math.inf], kind), bad)
    assert label.dtype == np.float32
    assert label.tolist() == [0.5, 0, 0, 0]
    assert reported(bad) == [("null label", [2]), ("not a finite number", [1, 3])]


def test_list_labels_report_other_lengths_and_nulls() -> None:
    bad = BadRows(6)
    rows = pa.array([[9, 9], [1, 2], None, [3], [4, None], [5, 6]])
    label = label_values("y", rows.slice(0), bad)
    assert label.dtype == np.int64
    assert label.tolist() == [[9, 9], [1, 2], [0, 0], [0, 0], [0, 0], [5, 6]]
    assert reported(bad) == [
        ("null label", [2]),
        ("a list of another length", [3]),
        ("a list with a null or not finite number", [4]),
    ]
    sliced = BadRows(2)
    assert label_values("y", rows.slice(4), sliced).tolist() == [[0, 0], [5, 6]]
    floats = label_values("y", pa.array([[0.5], [1.5]], pa.list_(pa.float64())), BadRows(2))
    assert floats.dtype == np.float32
    assert floats.tolist() == [[0.5], [1.5]]


def test_weights_report_nulls_and_negative_numbers() -> None:
    bad = BadRows(5)
    weight = weight_values("w", pa.array([0.0, 2.0, None, -1.0, math.nan]), bad)
    assert weight.dtype == np.float32
    assert weight.tolist() == [0, 2, 0, 0, 0]
    assert reported(bad) == [("null weight", [2]), ("not a weight", [3, 4])]
    assert weight_values("w", pa.array([1, 3]), BadRows(2)).tolist() == [1, 3]


def test_reported_rows_are_not_reported_again() -> None:
    bad = BadRows(2)
    bad.report("y", "not a number", np.array([0]), ["abc"])
    label_values("y", pa.array([None, None], pa.int64()), bad)
    assert reported(bad) == [("not a number", [0]), ("null label", [1])]


@pytest.mark.parametrize("column", [pa.array(["1"]), pa.array([["1"]])], ids=["text", "list of text"])
def test_text_label_is_an_error(column: pa.Array) -> None:
    with pytest.raises(DataError, match=r'label column "y" is string; it must be integers, floats'):
        label_values("y", column, BadRows(1))
