from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format

from tzrec.data.labels import LabelReader, label_values, weight_values
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.protos.pipeline_pb2 import EasyRecConfig


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
    assert floats.tolist() == [0.5, 1.5], "lists of one number are numbers"


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


def reader(*losses: str, num_class: int = 1) -> LabelReader:
    """Return a reader of label "y" for a model with losses."""
    text = "".join(f"losses {{ {loss} }}" for loss in losses)
    model = f"multi_tower {{}} num_class: {num_class} {text}"
    return LabelReader(
        text_format.Parse(f'data_config {{ label_fields: "y" }} model_config {{ {model} }}', EasyRecConfig())
    )


CLASSES = ("softmax_cross_entropy {}", 3, "not a class from 0 to 2, as softmax_cross_entropy needs")
SESSIONS = ('jrc_loss { session_name: "s" }', 2, "not a class from 0 to 1, as jrc_loss needs")
BINARY = ("binary_cross_entropy {}", 1, "not a number from 0 to 1, as binary_cross_entropy needs")
FOCAL = ("binary_focal_loss {}", 1, "not a number from 0 to 1, as binary_focal_loss needs")
SPENDING = ("ziln_loss {}", 3, "not a number of at least 0, as ziln_loss needs")


@pytest.mark.parametrize(
    ("loss", "labels", "bad_rows"),
    [
        (BINARY, [0, 1, 7, -1], [2, 3]),
        (BINARY, [0.0, 0.3, 1.5, -0.1], [2, 3]),
        (FOCAL, [0, 1, 7, -1], [2, 3]),
        (CLASSES, [0, 1, 2, 3], [3]),
        (CLASSES, [-1, 2.0, 1.5, 1e30], [0, 2, 3]),
        (SESSIONS, [0, 1, 2, -1], [2, 3]),
        (SPENDING, [0, 7.5, -0.5, 3], [2]),
        (("l2_loss {}", 1, ""), [-5, 7, 1e30, 0], []),
        (("bpr_loss {}", 1, ""), [-1, 1, 7, 0], []),
    ],
)
def test_labels_that_a_loss_does_not_take_are_bad_rows(
    loss: tuple[str, int, str], labels: list[float], bad_rows: list[int]
) -> None:
    text, num_class, reason = loss
    bad = BadRows(4)
    read = reader(text, num_class=num_class)("y", pa.array(labels), bad)
    assert reported(bad) == ([(reason, bad_rows)] if bad_rows else [])
    expected = [0 if index in bad_rows else label for index, label in enumerate(labels)]
    assert read.tolist() == pytest.approx(expected)
    is_class = loss in (CLASSES, SESSIONS)
    assert read.dtype == (np.int64 if is_class or (isinstance(labels[1], int) and labels[2] != 1e30) else np.float32)


def test_label_of_two_losses_is_checked_by_both() -> None:
    bad = BadRows(3)
    read = reader("l2_loss {}", "binary_cross_entropy {}")("y", pa.array([0, 2, None]), bad)
    assert read.tolist() == [0, 0, 0]
    assert reported(bad) == [("null label", [2]), (BINARY[2], [1])]


def test_lists_of_one_number_are_read_as_numbers() -> None:
    bad = BadRows(4)
    read = reader("binary_cross_entropy {}")("y", pa.array([[1], [0], [5], []]), bad)
    assert read.tolist() == [1, 0, 0, 0]
    assert reported(bad) == [("a list of another length", [3]), (BINARY[2], [2])]


def test_lists_of_several_numbers_are_an_error_that_names_the_loss() -> None:
    message = 'label column "y" holds lists of 2 numbers; binary_cross_entropy takes one number'
    with pytest.raises(DataError, match=message):
        reader("binary_cross_entropy {}")("y", pa.array([[1, 0], [0, 1]]), BadRows(2))


def test_label_without_model_may_have_any_finite_value() -> None:
    bad = BadRows(2)
    read = LabelReader(EasyRecConfig())("y", pa.array([[1, 0], [7, 1]]), bad)
    assert read.tolist() == [[1, 0], [7, 1]]
    assert not bad
