from __future__ import annotations

import numpy as np
import pyarrow as pa

from tests.fixtures.features import reports
from tzrec.features.bad_rows import BadRows, InvalidValues

NOT_A_NUMBER = "not a number"


def mask(*values: int) -> np.ndarray:
    return np.array(values, np.bool_)


def test_report_marks_rows_and_ignores_empty_reports() -> None:
    bad = BadRows(3)
    bad.report("c", NOT_A_NUMBER, np.array([], np.int64), [])
    assert not bad
    bad.report("c", NOT_A_NUMBER, np.array([1]), ["x"])
    assert bad
    assert bad.mask.tolist() == [False, True, False]
    assert reports(bad) == [("c", NOT_A_NUMBER, [1], ["x"])]


def test_report_array_reads_values_of_rows() -> None:
    bad = BadRows(3)
    bad.report_array("c", NOT_A_NUMBER, np.array([0, 2]), pa.array([["x"], None, ["y", "z"]]))
    assert reports(bad) == [("c", NOT_A_NUMBER, [0, 2], [["x"], ["y", "z"]])]


def test_report_array_replaces_invalid_utf8() -> None:
    bad = BadRows(2)
    text = pa.StringArray.from_buffers(1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff"))
    bad.report_array("c", NOT_A_NUMBER, np.array([0]), text)
    assert reports(bad) == [("c", NOT_A_NUMBER, [0], ["text that is not UTF-8"])]


def test_report_invalid_returns_valid_elements() -> None:
    """Three rows hold the elements a b, c and d; b and c are invalid for different reasons."""
    bad = BadRows(3)
    invalid = [InvalidValues(NOT_A_NUMBER, mask(0, 1, 0, 0)), InvalidValues("not finite", mask(0, 0, 1, 0))]
    valid = bad.report_invalid("c", invalid, np.array([0, 0, 1, 2]), pa.array(["a,b", "c", "d"]))
    assert valid.tolist() == [True, False, False, True]
    assert reports(bad) == [("c", NOT_A_NUMBER, [0], ["a,b"]), ("c", "not finite", [1], ["c"])]


def test_add_elements_reports_each_row_once() -> None:
    """The first row has two bad elements, the second none."""
    elements, bad = BadRows(4), BadRows(2)
    elements.report("c", NOT_A_NUMBER, np.array([0, 2]), ["x", "y"])
    bad.add_elements(elements, np.array([0, 0, 0, 1]))
    assert reports(bad) == [("c", NOT_A_NUMBER, [0], ["x"])]
    assert bad.mask.tolist() == [True, False]


def test_expand_reports_rows_of_owners() -> None:
    users = BadRows(3)
    users.report("c", NOT_A_NUMBER, np.array([0, 2]), ["x", "y"])
    expanded = users.expand(np.array([2, 1, 0, 2]))
    assert reports(expanded) == [("c", NOT_A_NUMBER, [0, 2, 3], ["y", "x", "y"])]
    assert expanded.mask.tolist() == [True, False, True, True]
    assert not BadRows(1).expand(np.array([0, 0]))
