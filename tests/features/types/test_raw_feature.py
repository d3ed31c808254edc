from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import config_problem, encode, encoder, ids_by_row, raw_feature, reports
from tzrec.features.base import Table

NAN, INF = math.nan, math.inf


def dense(text: str, values: Any, mode: str = "FG_DAG") -> list[list[float]]:
    """Return the values of a dense feature, without bad rows."""
    column, bad = encode(raw_feature(text), values, mode)
    assert not bad
    assert column.values.dtype == np.float32
    assert column.lengths is None
    assert column.values.shape == (len(values), column.dim)
    return column.values.tolist()


@pytest.mark.parametrize(
    "values",
    [
        ["0.5", "", None, "-2"],
        [0.5, None, None, -2.0],
        pa.array([0.5, None, None, -2], pa.float32()),
        [[0.5], [], None, [-2.0]],
        [["0.5"], [""], [None], ["-2"]],
        pa.array(["0.5", "", None, "-2"]).dictionary_encode(),
    ],
)
def test_missing_values_take_default(values: Any) -> None:
    assert dense("", values) == [[0.5], [0], [0], [-2]]
    assert dense('default_value: "7"', values) == [[0.5], [7], [7], [-2]]


def test_integers_and_bool_become_float32() -> None:
    assert dense("", [3, -1]) == [[3], [-1]]
    assert dense("", pa.array([3, 250], pa.uint8())) == [[3], [250]]
    assert dense("", [True, False]) == [[1], [0]]


def test_float32_column_is_not_copied() -> None:
    values = np.array([1, 2, 3], np.float32)
    column, _ = encode(raw_feature(""), pa.array(values))
    assert np.shares_memory(column.values, values)
    assert column.values.shape == (3, 1)


@pytest.mark.parametrize(
    ("values", "default", "expected"),
    [
        (["1\x1d2", "", "3\x1d4"], "", [[1, 2], [0, 0], [3, 4]]),
        (["1\x1d2", "", "3\x1d4"], 'default_value: "5\x1d6"', [[1, 2], [5, 6], [3, 4]]),
        ([[1.0, 2.0], None, [3.0, 4.0]], 'default_value: "5"', [[1, 2], [5, 5], [3, 4]]),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), 'default_value: "5"', [[1, 2], [5, 5], [3, 4]]),
        (pa.array([[9, 9], [1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)).slice(1), "", [[1, 2], [0, 0], [3, 4]]),
    ],
)
def test_vectors_of_any_type_are_read(values: Any, default: str, expected: list[list[float]]) -> None:
    assert dense(f"value_dim: 2 {default}", values) == expected
    feature = encoder(raw_feature("value_dim: 2")).features["f"]
    assert (feature.dim, feature.output_dim, feature.table, feature.is_sparse) == (2, 2, None, False)


def test_default_bypasses_normalizer() -> None:
    # values that TorchEasyRec's feature tests assert
    text = 'normalizer: "method=log10,threshold=0.05,default=-5" default_value: "0.01"'
    assert np.allclose(dense(text, ["0.1", "", "10"]), [[-1], [0.01], [1]])
    assert np.allclose(dense(text, [0.1, None, 10.0]), [[-1], [0.01], [1]])
    assert np.allclose(dense(text, [0.05, None, 0.01]), [[-5], [0.01], [-5]])


def test_default_is_bucketized() -> None:
    text = "boundaries: [0.05, 0.15, 0.25] embedding_dim: 4"
    for default, expected in [("0.01", [0]), ("0.2", [2]), ("", [])]:
        column, bad = encode(raw_feature(f'{text} default_value: "{default}"'), ["0.1", "", "10", None])
        assert ids_by_row(column) == [[1], expected, [3], expected]
        assert not bad
    feature = encoder(raw_feature(text)).features["f"]
    assert feature.table == Table("f_emb", 4, 4)
    assert (feature.is_sparse, feature.dim, feature.output_dim) == (True, 0, 4)


def test_boundaries_are_closed_on_left() -> None:
    edges = [0.05, 0.1, 0.15]
    text = raw_feature(f"boundaries: {edges} embedding_dim: 4")
    values = [0.0, 0.05, 0.0999, 0.1, 0.15, 9.0]
    for array in (pa.array(values), pa.array(values, pa.float32()), pa.array([str(v) for v in values])):
        column, _ = encode(text, array)
        assert (
            column.values.tolist() == [sum(edge <= value for edge in edges) for value in values] == [0, 1, 1, 2, 3, 3]
        )
        assert column.lengths is None


def test_boundaries_follow_normalizer_except_for_default() -> None:
    text = 'normalizer: "method=log10" boundaries: [0, 1, 2] embedding_dim: 4 default_value: "1.5"'
    column, _ = encode(raw_feature(text), [0.1, 1.0, 10.0, 1000.0, None])
    assert ids_by_row(column) == [[0], [1], [2], [3], [2]]


def test_boundaries_give_one_id_per_value() -> None:
    text = 'boundaries: [1, 2] embedding_dim: 4 value_dim: {} default_value: "{}"'
    column, bad = encode(raw_feature(text.format(0, "1")), ["0\x1d1\x1d5", "", "2"])
    assert ids_by_row(column) == [[0, 1, 2], [1], [2]]
    assert not bad
    for default, ids in [("1", [1, 1]), ("0\x1d2", [0, 2]), ("", [])]:
        column, bad = encode(raw_feature(text.format(2, default)), ["0\x1d1", None, "2", "1\x1dx", "0\x1d1\x1d2"])
        assert ids_by_row(column) == [[0, 1], ids, ids, ids, ids]
        assert [(reason, bad_rows) for _, reason, bad_rows, _ in reports(bad)] == [
            ("not a number", [3]),
            ("expected 2 values", [2, 4]),
        ]
    column, bad = encode(raw_feature(text.format(2, "1")), pa.array([1, 2]))
    assert ids_by_row(column) == [[1, 1], [1, 1]]
    assert reports(bad) == [("c", "expected 2 values", [0, 1], [1, 2])]


@pytest.mark.parametrize(
    ("text", "values", "reason", "bad_rows"),
    [
        ("", ["1", "x", "", "1e99"], "not a number", [1]),
        ("", [1.0, NAN, None, -INF], "not finite", [1, 3]),
        ("", [1.0, 2.0, None, 1e300], "not finite", [3]),
        ("", ["1", "2\x1d3", "", "4"], "expected 1 value", [1]),
        ("", [[1.0], [2.0, 3.0], None, [4.0]], "expected 1 value", [1]),
        ("value_dim: 2", ["1\x1d2", "3", "", "1\x1d2\x1d3"], "expected 2 values", [1, 3]),
        ('normalizer: "method=expression,expr=1/x"', [1.0, 0.0, None, 2.0], "not finite", [1]),
        ('normalizer: "method=log10,default=0"', [1.0, NAN, None, 10.0], "not finite", [1]),
    ],
)
def test_bad_values_are_reported(text: str, values: list[Any], reason: str, bad_rows: list[int]) -> None:
    column, bad = encode(raw_feature(f'{text} default_value: "7"'), values)
    assert reports(bad)[0][:3] == ("c", reason, bad_rows)
    assert len(reports(bad)[0][3]) == len(bad_rows)
    assert all((column.values[row] == 7).all() for row in [*bad_rows, 2])
    assert (column.values[0] != 7).all()
    assert not bad.mask[2]


def test_float32_overflow_is_reported_beside_invalid_text() -> None:
    _, bad = encode(raw_feature(""), ["1", "x", "1e99"])
    assert reports(bad) == [("c", "not a number", [1], ["x"]), ("c", "not finite", [2], ["1e99"])]


def test_missing_value_without_default_is_bad() -> None:
    column, bad = encode(raw_feature('default_value: ""'), [1.5, None])
    assert column.values.tolist() == [[1.5], [0]]
    assert reports(bad) == [("c", "missing, and there is no default value", [1], [None])]


def test_encoded_dense_values_are_read() -> None:
    text = 'value_dim: 2 normalizer: "method=log10" fg_encoded_default_value: "3\x034"'
    for values in (["1\x032", "", None], [[1.0, 2.0], [], None]):
        assert dense(text, values, "FG_NONE") == [[1, 2], [3, 4], [3, 4]]
    assert dense("", [5, 6], "FG_NONE") == [[5], [6]]
    column, bad = encode(raw_feature(""), [1.5, None], "FG_NONE")
    assert column.values.tolist() == [[1.5], [0]]
    assert reports(bad) == [("f", "missing, and there is no default value", [1], [None])]


def test_encoded_boundaries_are_read_as_ids() -> None:
    text = raw_feature("boundaries: [10, 20] embedding_dim: 4")
    column, bad = encode(text, ["0\x032", None, "3"], "FG_NONE")
    assert ids_by_row(column) == [[0, 2], [], []]
    assert reports(bad) == [("f", "out of range [0, 3)", [2], ["3"])]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("mlp {}", "embedding_dim", "must be above 0: the width of the mlp embedding"),
        ("embedding_dim: 4 value_dim: 2 autodis { num_channels: 3 }", "autodis", "embeds one number; value_dim is 2"),
        (
            "embedding_dim: 4 boundaries: [1] mlp {}",
            "mlp",
            "applies to numbers, and the values of this feature become ids",
        ),
        ("value_dim: 0", "value_dim", "needs boundaries"),
        ("boundaries: [1, 1]", "boundaries", "do not rise"),
        ('default_value: "x"', "default_value", "'x' is not a number"),
        ('default_value: "1_0"', "default_value", "'1_0' is not a number"),
        ('default_value: "1e99"', "default_value", "'1e99' is not finite"),
        ('default_value: "1\x1d2"', "default_value", "has 2 values; value_dim is 1"),
        ('boundaries: [1] value_dim: 3 default_value: "1\x1d2"', "default_value", "has 2 values; value_dim is 3"),
        ('boundaries: [1] default_value: "nan"', "default_value", "'nan' is not finite"),
        ('normalizer: "method=log"', "normalizer", "unknown method"),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(raw_feature(text))
    assert problem.field == f"feature_configs[0].raw_feature.{field}"
    assert message in problem.message
