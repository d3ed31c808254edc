from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference import pairs as reference
from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Table
from tzrec.features.column import Column

NAN = math.nan


def expr(formula: str, text: str = "", variables: str = '"user:a", "item:b"') -> str:
    return f'expr_feature {{ feature_name: "f" expression: "{formula}" variables: [{variables}] {text} }}'


def encode(feature: str, a: Any, b: Any, mode: str = "FG_DAG") -> tuple[Column, BadRows]:
    return encode_columns(feature, {"a": a, "b": b}, mode)


SUMS = [
    (["0.2", "", "0.3", None], [0.2, 0.2, 0.2, 0.2], [0.4, 0.1, 0.5, 0.1]),
    ([0.2, 0.1, 0.3, None], [0.2, 0.2, 0.2, 0.2], [0.4, 0.3, 0.5, 0.1]),
    (pa.array([0.2, 0.1, None], pa.float32()), ["0.2", "0.2", "0.2"], [0.4, 0.3, 0.1]),
    ([1, 2, 3], [[0.5], None, []], [1.5, 0.1, 0.1]),
    (pa.array(["1", "2"]).dictionary_encode(), pa.array([1, 2], pa.int32()), [2, 4]),
    (pa.array([9.0, 1, 2, None]).slice(1), pa.array(["9", "1", None, "3"]).slice(1), [2, 0.1, 0.1]),
    ([True, False], [0.25, 0.25], [1.25, 0.25]),
]


@pytest.mark.parametrize(("a", "b", "expected"), SUMS)
def test_sums_of_any_type_are_equal(a: Any, b: Any, expected: list[float]) -> None:
    column, bad = encode(expr("a + b", 'default_value: "0.1"'), a, b)
    assert column.values.shape == (len(expected), 1)
    assert column.values.dtype == np.float32
    np.testing.assert_allclose(column.values[:, 0], expected, rtol=1e-6)
    assert not bad


@pytest.mark.parametrize(("a", "b"), [([0.2], [0.2, 0.1, None]), ([0.2, 0.1, None], [0.2])])
def test_single_row_is_repeated_for_all(a: Any, b: Any) -> None:
    feature = encoder(expr("a + b", 'default_value: "0.1"')).features["f"]
    column = feature.encode({"a": pa.array(a), "b": pa.array(b)}, BadRows(3))
    np.testing.assert_allclose(column.values, [[0.4], [0.3], [0.1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("a", "default", "expected"),
    [
        ([0.2, 0.1, 0.3, None], "0.1", [[3], [2], [3], [0]]),
        (["0.2", "", "0.3", None], "", [[3], [], [3], []]),
    ],
)
def test_boundaries_turn_values_into_ids(a: Any, default: str, expected: list[list[int]]) -> None:
    # 0.4, 0.3 and 0.5 against the edges, and the default itself
    text = f'boundaries: [0.15, 0.25, 0.35] embedding_dim: 16 default_value: "{default}"'
    column, bad = encode(expr("a + b", text), a, [0.2] * 4)
    assert ids_by_row(column) == expected
    assert not bad
    feature = encoder(expr("a + b", text)).features["f"]
    assert (feature.is_sparse, feature.table, feature.output_dim) == (True, Table("f_emb", 4, 16), 16)
    assert [source.name for source in feature.inputs] == ["a", "b"]


@pytest.mark.parametrize(
    ("a", "b", "default", "expected"),
    [
        ([[0.2, 0.3], [0.1, 0.2], [0.3, 0.4], []], [[0.2, 0.2]] * 4, "0.1", [[2], [1], [2], [2]]),
        (["0.2\x1d0.3", "", "0.3\x1d0.4"], ["0.2\x1d0.2"] * 3, "", [[2], [], [2]]),
    ],
)
def test_dot_products_are_bucketized(a: Any, b: Any, default: str, expected: list[list[int]]) -> None:
    text = f'boundaries: [0.05, 0.10, 0.15] embedding_dim: 16 default_value: "{default}"'
    column, bad = encode(expr("dot(a, b)", text), a, b)
    assert ids_by_row(column) == expected
    assert not bad


def test_vectors_are_computed_elementwise() -> None:
    text = 'value_dim: 2 default_value: "7\x1d8" separator: "|"'
    column, bad = encode(expr("a * b", text.replace("\x1d", "|")), ["1|2", "3|4", None], [10.0, 20, 30])
    assert column.values.tolist() == [[10, 20], [60, 80], [7, 8]]
    assert not bad
    ids, bad = encode(expr("a * b", "boundaries: [15, 50] embedding_dim: 4"), [[1.0, 2, 9], [4.0]], [10, 20])
    assert ids_by_row(ids) == [[0, 1, 2], [2]]
    assert not bad


def test_shorter_vectors_are_padded() -> None:
    a, b = [[1.0, 2, 3], [4.0, 5, 6]], [[1.0, 2], [3.0]]
    column, bad = encode(expr("a + b", "value_dim: 3 fill_missing: 0.5"), a, b)
    assert column.values.tolist() == [[2, 4, 3.5], [7, 8, 9]]
    assert not bad
    column, bad = encode(expr("a + b", 'value_dim: 3 default_value: "9"'), a, b)
    assert column.values.tolist() == [[9, 9, 9], [7, 8, 9]]
    assert [report[:3] for report in reports(bad)] == [("f = a + b", "not finite", [0])]


def test_infinite_results_are_reported_with_formula() -> None:
    column, bad = encode(expr("log(a) / b", 'default_value: "5"'), [1.0, 0, -1, 2, None], [2.0, 2, 2, 0, 0])
    assert column.values.tolist() == [[0], [5], [5], [5], [5]]
    assert [report[:3] for report in reports(bad)] == [("f = log(a) / b", "not finite", [1, 2, 3])]


def test_bad_inputs_are_reported_by_column() -> None:
    column, bad = encode(expr("a + b", 'default_value: "5"'), ["1", "x", "2\x1dy", "3"], ["1", "1", "1", "1.0.0"])
    assert column.values.tolist() == [[2], [5], [5], [5]]
    assert reports(bad) == [("a", "not a number", [1, 2], ["x", "2\x1dy"]), ("b", "not a number", [3], ["1.0.0"])]
    with pytest.raises(DataError, match='column "b" has type map'):
        encode(expr("a + b"), [1.0], pa.array([[("k", 1.0)]], pa.map_(pa.string(), pa.float64())))


def test_nan_input_is_handled_by_formula() -> None:
    column, bad = encode(expr("isnan(a) ? b : a"), [NAN, 2.0], [1.0, 1.0])
    assert column.values.tolist() == [[1], [2]]
    assert not bad


def test_vector_of_dense_feature_is_bad() -> None:
    _, bad = encode(expr("a + b"), [[1.0, 2], [3.0]], [1, 1])
    assert [report[:3] for report in reports(bad)] == [("f = a + b", "expected 1 value", [0])]


def test_empty_batch_has_no_values() -> None:
    nothing = pa.array([], pa.float64())
    column, bad = encode(expr("a + b"), nothing, nothing)
    assert column.values.shape == (0, 1)
    column, _ = encode(expr("a + b"), pa.array([None, None]), pa.array([1.0, 2.0]))
    assert column.values.tolist() == [[0], [0]]
    assert not bad


def test_output_of_feature_is_variable() -> None:
    built = encoder(
        'raw_feature { feature_name: "a" expression: "user:x" value_dim: 2 stub_type: true }',
        expr("reduce_sum(a) + 3", variables='"feature:a"'),
    )
    columns, _ = built.encode(pa.RecordBatch.from_pydict({"x": ["1\x1d2", "3\x1d4"]}))
    assert columns["f"].values.tolist() == [[6], [10]]


def test_encoded_data_is_read_without_formula() -> None:
    for text, values, expected in [
        ('fg_encoded_default_value: "0.1"', [None, "0.2", "0.3"], [[0.1], [0.2], [0.3]]),
        ('fg_encoded_default_value: "1"', [None, 2, 3], [[1], [2], [3]]),
    ]:
        columns, bad = encoder(expr("a + b", text), mode="FG_NONE").encode(pa.table({"f": pa.array(values)}))
        np.testing.assert_allclose(columns["f"].values, expected, rtol=1e-6)
        assert not bad
    text = "boundaries: [0.1, 0.2, 0.3] embedding_dim: 16 fg_encoded_default_value: "
    for default, values, ids in [('""', ["1", "", None, "3"], [[1], [], [], [3]]), ('"0"', [1, None], [[1], [0]])]:
        columns, bad = encoder(expr("a", text + default), mode="FG_NONE").encode(pa.table({"f": pa.array(values)}))
        assert ids_by_row(columns["f"]) == ids
        assert not bad


@pytest.mark.parametrize(
    ("feature", "field", "message"),
    [
        (expr("a + c"), "expression", 'unknown variable "c"; use one of a, b'),
        (expr("a + "), "expression", "found the end"),
        (expr("a", variables=""), "variables", "is empty"),
        (expr("a", variables='"user:a", "b"'), "variables", '"b" is not side:name'),
        (expr("a", "boundaries: [2, 1] embedding_dim: 4"), "boundaries", "do not rise"),
        (expr("a", 'default_value: "x"'), "default_value", "'x' is not a number"),
        (expr("a", "mlp {}"), "embedding_dim", "must be above 0"),
    ],
)
def test_invalid_config_is_rejected(feature: str, field: str, message: str) -> None:
    problem = config_problem(feature)
    assert problem.field == f"feature_configs[0].expr_feature.{field}"
    assert message in problem.message


number = st.floats(-1000, 1000, width=32)
cell = st.one_of(st.none(), st.lists(number, max_size=3))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=8), st.booleans())
def test_formula_equals_reference(pairs: list[tuple[Any, Any]], as_text: bool) -> None:
    kind = pa.string() if as_text else pa.list_(pa.float32())
    sides = [
        pa.array(["|".join(map(repr, x)) if as_text and x is not None else x for x in side], kind)
        for side in zip(*pairs)
    ]
    text = 'boundaries: [-10, 0, 10] embedding_dim: 4 separator: "|" fill_missing: 2 default_value: ""'
    column, bad = encode(expr("a - b", text), *sides)
    expected = [
        [sum(np.float32(x) >= edge for edge in (-10, 0, 10)) for x in reference.elementwise(operator.sub, 2.0, a, b)]
        if a and b
        else []
        for a, b in pairs
    ]
    assert ids_by_row(column) == expected
    assert not bad
