from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference import text as reference
from tests.features.reference.hashes import bucket
from tests.fixtures.features import config_problem, encode_columns, encoder, ids_by_row, reports
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import FeatureInput, Table
from tzrec.features.column import Column


def lookup(text: str = "", key: str = "item:k") -> str:
    return f'lookup_feature {{ feature_name: "f" map: "user:m" key: "{key}" embedding_dim: 4 {text} }}'


def encode(feature: str, maps: Any, keys: Any, mode: str = "FG_DAG") -> tuple[Column, BadRows]:
    return encode_columns(feature, {"m": maps, "k": keys}, mode)


TEXT = ["ca:1\x1dcb:2"] * 4 + ["", None, "ca:1"]
KEYS = ["ca\x1dcb", "ca\x1dcd", "cd", None, "ca", "ca", ""]
FLOATS = pa.map_(pa.string(), pa.float32())
MAPS = [
    pa.array(TEXT),
    pa.array(TEXT, pa.large_string()).dictionary_encode(),
    pa.array([text.split("\x1d") if text else None for text in TEXT]),
    *[
        pa.array([{"ca": 1, "cb": 2}] * 4 + [{}, None, {"ca": 1}], pa.map_(pa.string(), kind))
        for kind in (pa.int32(), pa.int64(), pa.float32(), pa.float64())
    ],
    pa.array([{"ca": "1", "cb": "2"}] * 4 + [{}, None, {"ca": "1"}], pa.map_(pa.string(), pa.string())),
    pa.array([{"x": 9.0}] + [{"ca": 1, "cb": 2}] * 4 + [{}, None, {"ca": 1}], FLOATS).slice(1),
]


@pytest.mark.parametrize("maps", MAPS, ids=lambda array: str(array.type))
@pytest.mark.parametrize(
    ("combiner", "expected"),
    [
        ("sum", [3, 1, 0, 0, 0, 0, 0]),
        ("mean", [1.5, 1, 0, 0, 0, 0, 0]),
        ("avg", [1.5, 1, 0, 0, 0, 0, 0]),
        ("min", [1, 1, 0, 0, 0, 0, 0]),
        ("max", [2, 1, 0, 0, 0, 0, 0]),
        ("count", [2, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_looked_up_numbers_are_combined(maps: pa.Array, combiner: str, expected: list[float]) -> None:
    column, bad = encode(lookup(f'combiner: "{combiner}"'), maps, KEYS)
    assert column.values.tolist() == [[value] for value in expected]
    assert column.values.dtype == np.float32
    assert not bad


def test_keys_of_any_type_are_looked_up() -> None:
    int_map = pa.map_(pa.int64(), pa.int64())
    for keys in (
        pa.array([1, 2, None]),
        pa.array(["1", "2", ""]),
        pa.array([[1], [2], []]),
        pa.array([1.0, 2.0, None]),
    ):
        for maps in (["1:5", "1:5", "1:5"], pa.array([{1: 5}] * 3, int_map)):
            column, bad = encode(lookup('default_value: "-1"'), maps, keys)
            assert column.values.tolist() == [[5], [-1], [-1]]
            assert not bad


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hash_bucket_size: 100", [[35, 30], [35], [26]]),  # x, y; 26 is the default 0
        ('hash_bucket_size: 100 default_value: "z"', [[35, 30], [35], [54]]),
        ('hash_bucket_size: 100 default_value: ""', [[35, 30], [35], []]),
        ("hash_bucket_size: 100 value_dim: 1", [[35], [35], [26]]),
        ('vocab_list: ["y", "x"]', [[3, 2], [3], [0]]),
        ('vocab_dict: [{key: "y" value: 4}]', [[1, 4], [1], [0]]),
        (
            'hash_bucket_size: 100 need_key: true default_value: ""',
            [[bucket("ca_x", 100), bucket("cb_y", 100)], [bucket("ca_x", 100)], []],
        ),
    ],
)
def test_looked_up_values_become_ids(text: str, expected: list[list[int]]) -> None:
    column, bad = encode(lookup(text), ["ca:x\x1dcb:y"] * 3, ["ca\x1dcb", "ca", "cd"])
    assert ids_by_row(column) == expected
    assert not bad


def test_looked_up_numbers_become_ids() -> None:
    counts = pa.array([{"a": 3, "b": 5}], pa.map_(pa.string(), pa.int64()))
    assert ids_by_row(encode(lookup("num_buckets: 9"), counts, ["a\x1db"])[0]) == [[3, 5]]
    assert ids_by_row(encode(lookup("hash_bucket_size: 100 need_key: true"), counts, ["b"])[0]) == [
        [bucket("b_5", 100)]
    ]
    column, bad = encode(lookup("num_buckets: 5"), counts, ["a\x1db"])
    assert ids_by_row(column) == [[3]]
    assert [report[:3] for report in reports(bad)] == [("m", "out of range [0, 5)", [0])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boundaries: [1, 2, 3]", [[3], [1], [0]]),  # 1 + 2, 1, the default 0
        ('boundaries: [1, 2, 3] combiner: ""', [[1, 2], [1], [0]]),
        ("boundaries: [1, 2, 3] need_discrete: true", [[1, 2], [1], [0]]),
        ('boundaries: [1, 2, 3] normalizer: "method=expression,expr=x-1"', [[2], [0], [0]]),
        ('boundaries: [1, 2, 3] default_value: ""', [[3], [1], []]),
    ],
)
def test_boundaries_turn_combined_numbers_into_ids(text: str, expected: list[list[int]]) -> None:
    column, bad = encode(lookup(text), ["ca:1\x1dcb:2"] * 3, ["ca\x1dcb", "ca", "cd"])
    assert ids_by_row(column) == expected
    assert not bad


def test_vectors_are_combined_elementwise() -> None:
    maps = ["a:1,2\x1db:3,4", "a:1,2", "a:1,2,3\x1db:5,6", "a:x,2"]
    text = 'value_dim: 2 default_value: "7,8" normalizer: "method=expression,expr=2*x"'
    column, bad = encode(lookup(text), maps, ["a\x1db", "c", "a\x1db", "a"])
    assert column.values.tolist() == [[8, 12], [7, 8], [10, 12], [7, 8]]
    assert [report[:3] for report in reports(bad)] == [("m", "expected 2 values", [2]), ("m", "not a number", [3])]
    edges = 'value_dim: 2 value_separator: "|" boundaries: [2, 4]'
    assert ids_by_row(encode(lookup(edges), ["a:1|5"], ["a"])[0]) == [[0, 2]]
    assert ids_by_row(encode(lookup(edges), ["a:1|5"], ["b"])[0]) == [[0, 0]]


def test_bad_maps_and_values_are_reported() -> None:
    maps = ["a:1\x1dx", ":3", "a:x\x1db:2", "b:inf", "a:"]
    column, bad = encode(lookup('default_value: "-1"'), maps, ["a", "a", "a\x1db", "a", "a"])
    assert column.values.tolist() == [[1], [-1], [2], [-1], [-1]]
    assert [report[:3] for report in reports(bad)] == [("m", "not key:value", [0, 1, 4]), ("m", "not a number", [2])]


def test_first_of_equal_keys_counts_and_value_may_contain_colon() -> None:
    column, _ = encode(lookup("hash_bucket_size: 1000"), ["a:1:2\x1da:3"], ["a"])
    assert ids_by_row(column) == [[bucket("1:2", 1000)]]


def test_separator_splits_keys() -> None:
    assert encode(lookup('separator: "|"'), ["a:1\x1db:2"], ["a|b"])[0].values.tolist() == [[3]]


def test_key_may_be_constant_or_feature() -> None:
    bucket_feature = 'raw_feature { feature_name: "bucket" expression: "user:x" boundaries: [5] embedding_dim: 4 }'
    built = encoder(bucket_feature, lookup(key="feature:bucket"))
    columns, _ = built.encode(pa.table({"x": [1.0, 9.0], "m": ["0:3\x1d1:4"] * 2}))
    assert columns["f"].values.tolist() == [[3], [4]]
    columns, _ = encoder(lookup(key="const:b")).encode(pa.table({"m": ["a:3\x1db:4"]}))
    assert columns["f"].values.tolist() == [[4]]


def test_key_may_be_a_dense_feature_whose_numbers_are_not_whole() -> None:
    raw = 'raw_feature { feature_name: "r" expression: "user:x" }'
    built = encoder(raw, lookup(key="feature:r"))
    columns, bad = built.encode(pa.table({"x": [0.25, 2.0, 0.1, 7.5], "m": ["0.25:3\x1d2:4\x1d0.1:5"] * 4}))
    assert columns["f"].values.tolist() == [[3], [4], [5], [0]]
    assert not bad
    _, bad = encode(lookup(), ["0.25:3"], [0.25])
    assert [report[:3] for report in reports(bad)] == [("k", "not an integer", [0])]


def test_encoded_and_bucketize_data_are_read() -> None:
    def encode_own_column(text: str, values: Any, mode: str = "FG_BUCKETIZE") -> Column:
        return encoder(lookup(text), mode=mode).encode(pa.table({"f": values}))[0]["f"]

    assert ids_by_row(encode_own_column("hash_bucket_size: 100", ["x\x1dy", None])) == [[35, 30], [26]]
    assert ids_by_row(encode_own_column('boundaries: [1, 2] normalizer: "method=log10"', [1.0, 5.0])) == [[1], [2]]
    assert encode_own_column('normalizer: "method=log10"', [1.0, None]).values.tolist() == [[1], [0]]
    assert encode_own_column('value_dim: 2 default_value: "1,2"', ["3,4", ""]).values.tolist() == [[3, 4], [1, 2]]
    assert ids_by_row(encode_own_column("hash_bucket_size: 100", ["7\x038", ""], "FG_NONE")) == [[7, 8], []]
    assert encode_own_column('fg_encoded_default_value: "2"', [0.5, None], "FG_NONE").values.tolist() == [[0.5], [2]]


def test_attributes_of_lookup_feature() -> None:
    feature = encoder(lookup("num_buckets: 7")).features["f"]
    assert (feature.table, feature.is_sparse, feature.dim) == (Table("f_emb", 7, 4), True, 0)
    assert feature.inputs == (FeatureInput("user", "m"), FeatureInput("item", "k"))
    feature = encoder(lookup("value_dim: 3")).features["f"]
    assert (feature.table, feature.is_sparse, feature.dim, feature.output_dim) == (None, False, 3, 3)


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("need_discrete: true", ".need_discrete", "values that are ids need one of hash_bucket_size"),
        ('combiner: ""', ".combiner", "values that are ids need one of hash_bucket_size"),
        ('combiner: "gap_min"', ".combiner", '"gap_min" is not one of sum, mean, avg, min, max, count'),
        ("need_key: true num_buckets: 5", ".need_key", "values that begin with a key are text"),
        ("value_dim: 0", ".value_dim", "0 (any number of values) is for ids"),
        ("num_buckets: 5 boundaries: 1", ".boundaries", "num_buckets is set as well; choose one"),
        ("num_buckets: 5 hash_bucket_size: 1", "", "hash_bucket_size and num_buckets are set"),
        (
            "num_buckets: 3 autodis { num_channels: 3 }",
            ".autodis",
            "applies to numbers, and the values of this feature become ids",
        ),
        ('value_dim: 2 default_value: "1,2,3"', ".default_value", "has 3 values; value_dim is 2"),
        ('normalizer: "x"', ".normalizer", "unknown method"),
    ],
)
def test_invalid_config_is_rejected(text: str, field: str, message: str) -> None:
    problem = config_problem(lookup(text))
    assert problem.field == f"feature_configs[0].lookup_feature{field}"
    assert message in problem.message


def test_unsupported_column_type_is_rejected() -> None:
    with pytest.raises(DataError, match='column "k" has type struct'):
        encode(lookup(), ["a:1"], [{"a": 1}])
    with pytest.raises(DataError, match='column "m" has type map<string, struct'):
        encode(lookup(), pa.array([{"a": {"b": 1}}], pa.map_(pa.string(), pa.struct({"b": pa.int64()}))), ["a"])


word = st.text(st.sampled_from("ab模7"), min_size=1, max_size=2)


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(st.tuples(st.lists(st.tuples(word, word), max_size=4), st.lists(word, max_size=3)), max_size=6),
    as_map=st.booleans(),
)
def test_lookup_equals_reference(data: list[tuple[list[tuple[str, str]], list[str]]], as_map: bool) -> None:
    text = ["\x1d".join(f"{key}:{value}" for key, value in pairs) for pairs, _ in data]
    kind = pa.map_(pa.string(), pa.string())
    maps = pa.array([pairs for pairs, _ in data], kind) if as_map else pa.array(text, pa.string())
    feature = lookup('hash_bucket_size: 1000 default_value: "" need_key: true')
    column, bad = encode(feature, maps, pa.array(["\x1d".join(keys) for _, keys in data], pa.string()))
    encoded_pairs = [[(key.encode(), f"{key}_{value}".encode()) for key, value in pairs] for pairs, _ in data]
    expected = reference.find_pairs(encoded_pairs, [[key.encode() for key in keys] for _, keys in data], b"")
    assert ids_by_row(column) == [reference.hash_text(values, 1000) for values in expected]
    assert not bad
