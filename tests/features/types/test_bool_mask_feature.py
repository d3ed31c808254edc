from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference import pairs as reference
from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Table
from tzrec.features.column import Column


def bool_mask(text: str, inputs: str = '"user:v", "user:m"') -> str:
    text = f'separator: "," embedding_dim: 4 {text}'
    return f'bool_mask_feature {{ feature_name: "f" expression: [{inputs}] {text} }}'


def encode(feature: str, values: Any, mask: Any) -> tuple[Column, BadRows]:
    return encode_columns(feature, {"v": values, "m": mask})


@pytest.mark.parametrize(
    ("values", "mask", "expected"),
    [
        ("123,456,90,80", "true,false,true,false", [123, 90]),
        ("123,456,90,80", [1, 0, 1, 0], [123, 90]),
        ([1, 2, 3, 4], [1, 0, 1, 0], [1, 3]),
        ([1, 2, 3, 4], "true,false,true,false", [1, 3]),
        ([1, 2, 3, 4], [True, False, True, False], [1, 3]),
        ([1, 2, 3, 4], [1.0, 0.0, 0.0, 1.0], [1, 4]),
        (["1", "2"], ["FALSE", " True "], [2]),
        (7, 1, [7]),
        (7, False, [5]),
        (None, "true", [5]),
        ("1", None, [5]),
        ("", "", [5]),
    ],
)
def test_masks_of_any_type_select_same_ids(values: Any, mask: Any, expected: list[int]) -> None:
    column, bad = encode(bool_mask('num_buckets: 1000 default_value: "5"'), [values], [mask])
    assert ids_by_row(column) == [expected]
    assert not bad


def test_rows_are_masked_independently() -> None:
    values, mask = ["1,2,3", "4", None, "5,6", "7"], ["1,0,1", "1", "1", "0,0", "0"]
    assert ids_by_row(encode(bool_mask("num_buckets: 10"), values, mask)[0]) == [[1, 3], [4], [], [], []]
    assert ids_by_row(encode(bool_mask("num_buckets: 10 value_dim: 1"), values, mask)[0]) == [[1], [4], [], [], []]
    # string hashes: "1" is 95, "3" is 13, "4" is 56 modulo 100
    assert ids_by_row(encode(bool_mask("hash_bucket_size: 100"), values, mask)[0]) == [[95, 13], [56], [], [], []]
    assert ids_by_row(encode(bool_mask('vocab_list: ["3", "4"]'), values, mask)[0]) == [[1, 2], [3], [], [], []]
    feature = encoder(bool_mask("num_buckets: 10")).features["f"]
    assert (feature.table, [source.name for source in feature.inputs]) == (Table("f_emb", 10, 4), ["v", "m"])


def test_bad_masks_are_reported() -> None:
    values, mask = ["1,2", "1,2", "1,2", "1,x", "1,99"], ["1", "1,yes", "0,1", "1,1", "1,0"]
    column, bad = encode(bool_mask('num_buckets: 10 default_value: "7"'), values, mask)
    assert ids_by_row(column) == [[7], [7], [2], [1], [1]]
    assert reports(bad) == [
        ("m", "not true or false, 1 or 0", [1], ["1,yes"]),
        ("m", "mask and values differ in number", [0], ["1"]),
        ("v", "not an integer", [3], ["1,x"]),
    ]


def test_empty_batch_and_slices_are_encoded() -> None:
    text = bool_mask("num_buckets: 10")
    nothing = pa.array([], pa.string())
    assert ids_by_row(encode(text, nothing, nothing)[0]) == []
    values, mask = pa.array(["9", "1,2", None]).slice(1), pa.array([[0], [0, 1], [1]]).slice(1)
    assert ids_by_row(encode(text, values, mask)[0]) == [[2], []]


def test_encoded_data_is_read_without_mask() -> None:
    text = bool_mask('num_buckets: 10 fg_encoded_default_value: "3"')
    columns, bad = encoder(text, mode="FG_NONE").encode(pa.table({"f": ["1\x032", None]}))
    assert ids_by_row(columns["f"]) == [[1, 2], [3]]
    assert not bad


@pytest.mark.parametrize(
    ("feature", "field", "message"),
    [
        (bool_mask("num_buckets: 3", '"user:v"'), ".expression", "1 inputs; list two"),
        (bool_mask("num_buckets: 3", '"user:v", "m"'), ".expression", '"m" is not side:name'),
        (bool_mask("num_buckets: 3 hash_bucket_size: 3"), "", "are set"),
        (bool_mask('num_buckets: 3 default_value: "3"'), ".default_value", "out of range [0, 3)"),
    ],
)
def test_invalid_config_is_rejected(feature: str, field: str, message: str) -> None:
    problem = config_problem(feature)
    assert problem.field == f"feature_configs[0].bool_mask_feature{field}"
    assert message in problem.message


cells = st.lists(st.tuples(st.integers(0, 99).map(str), st.booleans()), max_size=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(cells, min_size=1, max_size=6), st.booleans())
def test_bool_mask_equals_reference(batch: list[list[tuple[str, bool]]], as_text: bool) -> None:
    values = [[value for value, _ in row] for row in batch]
    mask = [[keep for _, keep in row] for row in batch]
    given_values = pa.array([",".join(row) for row in values] if as_text else values)
    column, bad = encode(bool_mask("num_buckets: 100"), given_values, pa.array(mask, pa.list_(pa.bool_())))
    assert ids_by_row(column) == [[int(word) for word in reference.masked(*row)] for row in zip(values, mask)]
    assert not bad
