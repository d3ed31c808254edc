"""use_mask: in masked rows a feature has no value and takes its default."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import elements_by_row, encoder, ids_by_row, reports
from tzrec.features.column import Column

HASHED = "hash_bucket_size: 100 embedding_dim: 4"
MASKED = np.array([False, True, False])


def encode(text: str, columns: dict[str, Any], mode: str = "FG_DAG") -> Column:
    outputs, bad = encoder(text, mode=mode).encode(pa.table(columns), MASKED)
    assert not bad
    return outputs["f"]


def test_only_features_with_use_mask_are_masked() -> None:
    built = encoder(
        f'id_feature {{ feature_name: "f" expression: "user:c" use_mask: true {HASHED} }}',
        f'id_feature {{ feature_name: "g" expression: "user:c" {HASHED} }}',
    )
    table = pa.table({"c": ["abc", "efg", "hij"]})
    outputs, _ = built.encode(table, MASKED)
    assert (ids_by_row(outputs["f"]), ids_by_row(outputs["g"])) == ([[33], [], [66]], [[33], [44], [66]])
    assert ids_by_row(built.encode(table)[0]["f"]) == [[33], [44], [66]]


# config, columns and the values of three rows, of which the second is masked
MASKS = {
    "raw_feature": ('expression: "item:a" default_value: "7"', {"a": [1.0, 2.0, 3.0]}, [1, 7, 3]),
    "lookup_feature": (
        'map: "user:m" key: "item:k" default_value: "7"',
        {"m": [[("x", 1.0)]] * 3, "k": ["x"] * 3},
        [1, 7, 1],
    ),
    "match_feature": (
        'nested_map: "user:m" pkey: "ALL" skey: "item:k" default_value: "7"',
        {"m": ["p^x:1"] * 3, "k": ["x"] * 3},
        [1, 7, 1],
    ),
    "kv_dot_product": (
        'query: "user:q" document: "item:d" default_value: "7"',
        {"q": ["x:2"] * 3, "d": ["x:3"] * 3},
        [6, 7, 6],
    ),
    "expr_feature": ('expression: "a+b" variables: ["user:a", "user:b"]', {"a": [1.0] * 3, "b": [2.0] * 3}, [3, 0, 3]),
    "combine_feature": ('expression: "user:a" default_value: "7"', {"a": [[1.0, 2.0]] * 3}, [3, 7, 3]),
    "overlap_feature": (
        'query: "user:q" title: "item:t" method: "is_equal"',
        {"q": ["x"] * 3, "t": ["x"] * 3},
        [1, 0, 1],
    ),
    "custom_feature": (
        'expression: ["user:a", "user:b"] operator_name: "tests.features.operators:Scaled" default_value: "7"',
        {"a": [1.0] * 3, "b": [2.0] * 3},
        [3, 7, 3],
    ),
}


@pytest.mark.parametrize("kind", MASKS)
def test_first_input_that_is_not_a_map_is_masked(kind: str) -> None:
    text, columns, expected = MASKS[kind]
    if kind == "lookup_feature":
        columns = {**columns, "m": pa.array(columns["m"], pa.map_(pa.string(), pa.float64()))}
    column = encode(f'{kind} {{ feature_name: "f" use_mask: true {text} }}', columns)
    assert column.values.ravel().tolist() == expected


@pytest.mark.parametrize("kind", ["combo_feature", "bool_mask_feature"])
def test_crosses_take_default_in_masked_rows(kind: str) -> None:
    text = (
        f'{kind} {{ feature_name: "f" use_mask: true expression: ["user:a", "item:b"] {HASHED} default_value: "xyz" }}'
    )
    plain = encode(text.replace("use_mask: true", ""), {"a": ["abc"] * 3, "b": ["1"] * 3})
    masked = encode(text, {"a": ["abc"] * 3, "b": ["1"] * 3})
    assert ids_by_row(masked) == [ids_by_row(plain)[0], [13], ids_by_row(plain)[2]]


def test_sequences_are_masked_entirely() -> None:
    text = f'sequence_id_feature {{ feature_name: "f" expression: "user:c" use_mask: true {HASHED} }}'
    assert elements_by_row(encode(text, {"c": ["abc;efg"] * 3})) == [[[33], [44]], [[26]], [[33], [44]]]
    encoded = encode(text, {"f": [[33, 44]] * 3}, mode="FG_NONE")
    assert elements_by_row(encoded) == [[[33], [44]], [], [[33], [44]]]
    grouped = f'id_feature {{ feature_name: "f" expression: "user:c" use_mask: true {HASHED} }}'
    built = encoder(
        f'sequence_feature {{ sequence_name: "s" sequence_length: 5 sequence_delim: ";" features {{ {grouped} }} }}'
    )
    outputs, _ = built.encode(pa.table({"s__c": ["abc;efg"] * 3}), MASKED)
    assert elements_by_row(outputs["s__f"]) == [[[33], [44]], [[26]], [[33], [44]]]


def test_encoded_data_takes_default_of_encoder() -> None:
    """FG_NONE without fg_encoded_default_value encodes a missing value of raw data."""
    ids = f'id_feature {{ feature_name: "f" expression: "user:c" use_mask: true default_value: "abc\x1defg" {HASHED} }}'
    assert ids_by_row(encode(ids, {"f": [1, 2, 3]}, "FG_NONE")) == [[1], [33, 44], [3]]
    weighted = ids.replace("abc\x1defg", "abc:0.5").replace("use_mask", "weighted: true use_mask")
    column = encode(weighted, {"f": ["1:2", "2:2", "3:2"]}, "FG_NONE")
    assert ids_by_row(column) == [[1], [33], [3]]
    assert column.weights is not None
    assert column.weights.tolist() == [2, 0.5, 2]
    with_default = ids.replace("use_mask", 'fg_encoded_default_value: "9" use_mask')
    assert ids_by_row(encode(with_default, {"f": [1, 2, 3]}, "FG_NONE")) == [[1], [9], [3]]
    raw = (
        'raw_feature { feature_name: "f" expression: "user:c" use_mask: true value_dim: 2 default_value: "0.1\x1d0.4" }'
    )
    numbers = encode(raw, {"f": [[1.0, 2.0]] * 3}, "FG_NONE").values
    assert np.allclose(numbers, [[1, 2], [0.1, 0.4], [1, 2]])
    combo = f'combo_feature {{ feature_name: "f" expression: ["user:a", "user:b"] use_mask: true {HASHED} }}'
    assert ids_by_row(encode(combo, {"f": [1, 2, 3]}, "FG_NONE")) == [[1], [], [3]]


def test_masked_values_are_not_bad() -> None:
    built = encoder('raw_feature { feature_name: "f" expression: "user:c" use_mask: true }')
    _, bad = built.encode(pa.table({"c": ["1", "x", "y"]}), MASKED)
    assert reports(bad) == [("c", "not a number", [2], ["y"])]
