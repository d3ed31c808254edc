from __future__ import annotations

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

MAP = pa.map_(pa.string(), pa.float32())


def product(text: str = "") -> str:
    text = f'separator: "|" {text}'
    return f'kv_dot_product {{ feature_name: "f" query: "user:q" document: "item:d" {text} }}'


def encode(feature: str, query: Any, document: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, {"q": query, "d": document})


FORMS = [
    (["a:0.5|b:0.5", "a|b|c", "a|b", None], ["a:0.5|b:0.5", "a|b", "", ""]),
    ([["a:0.5", "b:0.5"], ["a", "b", "c"], ["a", "b"], None], [["a:0.5", "b:0.5"], ["a", "b"], [], []]),
    (
        pa.array([{"a": 0.5, "b": 0.5}, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1}, None], MAP),
        pa.array([{"a": 0.5, "b": 0.5}, {"a": 1, "b": 1}, {}, {}], MAP),
    ),
]


@pytest.mark.parametrize(("query", "document"), FORMS)
def test_products_of_any_type_are_equal(query: Any, document: Any) -> None:
    column, bad = encode(product('default_value: "0.1"'), query, document)
    np.testing.assert_allclose(column.values[:, 0], [0.5, 2, 0.1, 0.1], rtol=1e-6)
    text = "boundaries: [0.05, 0.15, 1.0] embedding_dim: 16 "
    ids, more = encode(product(text + 'default_value: "0.1"'), query, document)
    assert ids_by_row(ids) == [[2], [3], [1], [1]]
    ids, more = encode(product(text + 'default_value: ""'), query, document)
    assert ids_by_row(ids) == [[2], [3], [], []]
    assert not bad and not more
    assert encoder(product(text)).features["f"].table == Table("f_emb", 4, 16)


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        ("a:0.5|b:0.5", "d:0.5|b:0.5", 0.25),
        (["a:0.5", "b:0.5"], ["d:0.5", "b:0.5"], 0.25),
        (["a:0.5", "b:0.5"], {"d": 0.5, "b": 0.5}, 0.25),
        (["a", "b", "c"], ["a", "b", "d"], 2),
        (["a", "b", "c"], "a|b|d", 2),
        (["a", "b", "c"], {"a": 0.5, "b": 0.5}, 1),
        ([1, 2, 3], "3|2:0.5", 1.5),
        ("a|a:3", "a:2|a:7", 2),
        ("x:y:2", "x:y:3", 6),
        ("雪:2|é", "é:0.5|雪:-1", -1.5),
    ],
)
def test_mixed_types_are_multiplied(query: Any, document: Any, expected: float) -> None:
    sides = [pa.array([side], MAP) if isinstance(side, dict) else [side] for side in (query, document)]
    column, bad = encode(product(), *sides)
    assert column.values.tolist() == [[expected]]
    assert not bad


def test_disjoint_keys_give_zero() -> None:
    column, _ = encode(product('default_value: "7" normalizer: "method=minmax,min=-1,max=1"'), ["a", ""], ["b", "b"])
    assert column.values.tolist() == [[0.5], [7]]


def test_bad_weights_are_reported() -> None:
    column, bad = encode(product('default_value: "7"'), ["a:1", "a:x|b", "a:1e30"], ["a:2", "a|b", "a:1e30"])
    assert column.values.tolist() == [[2], [7], [7]]
    assert reports(bad)[0] == ("q", "weight is not a finite number", [1], ["a:x|b"])
    assert reports(bad)[1][:3] == ("f", "not finite", [2])
    with pytest.raises(DataError, match='column "d" has type timestamp'):
        encode(product(), ["a"], pa.array([1], pa.timestamp("s")))


def test_encoded_data_is_read_as_numbers() -> None:
    columns, _ = encoder(product(), mode="FG_NONE").encode(pa.table({"f": [0.5, 2.0]}))
    assert columns["f"].values.tolist() == [[0.5], [2]]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("kv_delimiter: 3", "kv_delimiter", "leave it out"),
        ("boundaries: [1, 1] embedding_dim: 2", "boundaries", "do not rise"),
        ('default_value: "x"', "default_value", "'x' is not a number"),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(product(text))
    assert problem.field == f"feature_configs[0].kv_dot_product.{field}"
    assert message in problem.message


side = st.lists(
    st.tuples(st.sampled_from(["a", "b", "ab", "雪", "c", "d"]), st.sampled_from([0.5, -2.0, 3.0])), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(side, side), min_size=1, max_size=6))
def test_dot_product_equals_reference(pairs: list[tuple[Any, Any]]) -> None:
    texts = [["|".join(f"{key}:{weight}" for key, weight in side) for side in sides] for sides in zip(*pairs)]
    column, bad = encode(product('default_value: "-99"'), *texts)
    np.testing.assert_allclose(column.values[:, 0], np.nan_to_num([reference.dot(q, d) for q, d in pairs], nan=-99))
    assert not bad
