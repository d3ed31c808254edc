"""One user and many items: the same as all columns in every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.features.make import encoder, reports
from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder

HASHED = "hash_bucket_size: 100 embedding_dim: 4"
USER: dict[str, Any] = {
    "age": [31],
    "tags": ["a\x1db"],
    "kv": ["x:2\x1dy:3"],
    "s__cate": ["x;;y"],
    "weighted": ["x:0.5\x1dy:2"],
    "v": ["1\x1d2"],
    "both": ["of the user"],
}
ITEMS: dict[str, Any] = {"cate": ["x", "y", None, "z"], "price": [1.5, None, 3.0, 4.0], "both": ["p", "q", "r", None]}
FEATURES = [
    'raw_feature { feature_name: "age" expression: "user:age" }',
    f'id_feature {{ feature_name: "tags" expression: "user:tags" {HASHED} }}',
    f'id_feature {{ feature_name: "weighted" expression: "user:weighted" weighted: true {HASHED} }}',
    'raw_feature { feature_name: "v" expression: "user:v" value_dim: 2 }',
    f'id_feature {{ feature_name: "both" expression: "item:both" {HASHED} }}',
    f'combo_feature {{ feature_name: "x" expression: ["user:tags", "item:cate"] {HASHED} }}',
    'lookup_feature { feature_name: "lookup" map: "user:kv" key: "item:cate" default_value: "-1" }',
    'expr_feature { feature_name: "young" expression: "age < 40" variables: "user:age" stub_type: true }',
    'expr_feature { feature_name: "e" expression: "young * price" variables: ["feature:young", "item:price"] }',
    f'id_feature {{ feature_name: "literal" expression: "const:7" {HASHED} }}',
    'sequence_feature { sequence_name: "s" sequence_length: 5 sequence_delim: ";" '
    f'features {{ id_feature {{ feature_name: "cate" expression: "user:cate" {HASHED} }} }} '
    f'features {{ combo_feature {{ feature_name: "x" expression: ["item:cate", "user:cate"] {HASHED} '
    'sequence_fields: "user:cate" } } }',
]


def assert_equal(one: Column, other: Column) -> None:
    assert np.array_equal(one.values, other.values)
    assert one.values.dtype == other.values.dtype
    assert one.dim == other.dim
    for name in ("lengths", "weights", "sequence_lengths"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert (ours is None and theirs is None) or np.array_equal(ours, theirs), name


def both_ways(
    built: FeatureEncoder, user: dict[str, Any], items: dict[str, Any]
) -> tuple[dict[str, Column], BadRows, BadRows]:
    """The request's columns, found equal to those of the whole rows, and the bad rows of both."""
    count = len(items["cate"])
    whole = {name: values * count for name, values in user.items() if name not in items} | items
    found, bad = built.encode_request(pa.RecordBatch.from_pydict(user), pa.RecordBatch.from_pydict(items))
    expected, also_bad = built.encode(pa.RecordBatch.from_pydict(whole))
    assert list(found) == list(expected)
    for name in found:
        assert_equal(found[name], expected[name])
    assert bad.mask.tolist() == also_bad.mask.tolist()
    return found, bad, also_bad


def test_a_request_is_the_same_as_whole_rows() -> None:
    found, bad, _ = both_ways(encoder(*FEATURES), USER, ITEMS)
    assert found["lookup"].values.ravel().tolist() == [2, 3, -1, -1]
    assert found["e"].values.ravel().tolist() == [1.5, 0, 3, 4]
    assert not bad
    both_ways(encoder(*FEATURES), {**USER, "tags": [None], "s__cate": [""], "kv": [None]}, ITEMS)


def test_one_item_and_none() -> None:
    built = encoder(*FEATURES)
    both_ways(built, USER, {name: values[:1] for name, values in ITEMS.items()})
    none = pa.RecordBatch.from_pydict({name: pa.array([], pa.string()) for name in ITEMS})
    found, bad = built.encode_request(pa.RecordBatch.from_pydict(USER), none)
    assert found["age"].values.shape == (0, 1)
    assert len(found["x"].values) == 0
    assert not bad


def test_a_bad_value_of_the_user_is_one_of_every_item() -> None:
    found, bad, also_bad = both_ways(encoder(*FEATURES), {**USER, "age": ["x"]}, ITEMS)
    assert found["age"].values.ravel().tolist() == [0] * 4
    assert reports(bad)[0] == ("age", "not a number", [0, 1, 2, 3], ["x"] * 4)
    assert reports(bad)[0] in reports(also_bad)


def test_what_reads_the_user_alone_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = encoder(*FEATURES)
    rows: dict[str, int] = {}
    for name, feature in built.features.items():
        before = feature.encode

        def watched(columns: Any, bad: BadRows, name: str = name, before: Any = before) -> Column:
            rows[name] = bad.size
            return before(columns, bad)

        monkeypatch.setattr(feature, "encode", watched)
    built.encode_request(pa.RecordBatch.from_pydict(USER), pa.RecordBatch.from_pydict(ITEMS))
    once = {"age", "tags", "weighted", "v", "young", "literal", "s__cate"}
    assert rows == {name: 1 if name in once else 4 for name in built.features}


def test_columns_that_no_feature_reads_leave_nothing_behind() -> None:
    """What strangers send beside must not add up in the memory of a server."""
    built = encoder(*FEATURES)
    items = pa.RecordBatch.from_pydict(ITEMS)
    for name in ("x1", "x2", "x3"):
        built.encode_request(pa.RecordBatch.from_pydict({**USER, name: [1]}), items)
    assert len(built._computable) == 1
