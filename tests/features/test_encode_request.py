"""encode_request of one user and many items equals encode of rows with all columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.features import assert_columns_equal, encoder, reports
from tzrec.features.bad_rows import BadRows
from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.types.sequence_feature import UNEQUAL

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


def encode_one(built: FeatureEncoder, user: dict[str, Any], items: pa.RecordBatch) -> tuple[dict[str, Column], BadRows]:
    """Encode the items of one user."""
    owners = np.zeros(items.num_rows, np.int64)
    request, bad = built.encode_request(pa.RecordBatch.from_pydict(user), items, owners)
    return request.columns(), bad


def encode_both_ways(
    built: FeatureEncoder, user: dict[str, Any], items: dict[str, Any]
) -> tuple[dict[str, Column], BadRows, BadRows]:
    """Compare the columns of a request to those of full rows; return them with the bad rows of both."""
    count = len(items["cate"])
    full_rows = {name: values * count for name, values in user.items() if name not in items} | items
    outputs, bad = encode_one(built, user, pa.RecordBatch.from_pydict(items))
    expected, full_bad = built.encode(pa.RecordBatch.from_pydict(full_rows))
    assert outputs.keys() == expected.keys()
    for name in outputs:
        assert_columns_equal(outputs[name], expected[name])
    assert bad.mask.tolist() == full_bad.mask.tolist()
    return outputs, bad, full_bad


def test_request_equals_full_rows() -> None:
    outputs, bad, _ = encode_both_ways(encoder(*FEATURES), USER, ITEMS)
    assert outputs["lookup"].values.ravel().tolist() == [2, 3, -1, -1]
    assert outputs["e"].values.ravel().tolist() == [1.5, 0, 3, 4]
    assert not bad
    encode_both_ways(encoder(*FEATURES), {**USER, "tags": [None], "s__cate": [""], "kv": [None]}, ITEMS)


def test_request_of_one_or_no_item_is_encoded() -> None:
    built = encoder(*FEATURES)
    encode_both_ways(built, USER, {name: values[:1] for name, values in ITEMS.items()})
    none = pa.RecordBatch.from_pydict({name: pa.array([], pa.string()) for name in ITEMS})
    outputs, bad = encode_one(built, USER, none)
    assert outputs["age"].values.shape == (0, 1)
    assert len(outputs["x"].values) == 0
    assert not bad


def test_bad_user_value_is_reported_for_every_item() -> None:
    outputs, bad, full_bad = encode_both_ways(encoder(*FEATURES), {**USER, "age": ["x"]}, ITEMS)
    assert outputs["age"].values.ravel().tolist() == [0] * 4
    assert reports(bad)[0] == ("age", "not a number", [0, 1, 2, 3], ["x"] * 4)
    assert reports(bad)[0] in reports(full_bad)


def test_user_features_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = encoder(*FEATURES)
    rows: dict[str, int] = {}
    for name, feature in built.features.items():
        encode = feature.encode

        def record_rows(columns: Any, bad: BadRows, name: str = name, encode: Any = encode) -> Column:
            rows[name] = bad.size
            return encode(columns, bad)

        monkeypatch.setattr(feature, "encode", record_rows)
    encode_one(built, USER, pa.RecordBatch.from_pydict(ITEMS))
    user_features = {"age", "tags", "weighted", "v", "young", "literal", "s__cate"}
    assert rows == {name: 1 if name in user_features else 4 for name in built.features}


def test_unused_columns_do_not_grow_cache() -> None:
    """Columns of requests that no feature reads must not accumulate in the memory of a server."""
    built = encoder(*FEATURES)
    items = pa.RecordBatch.from_pydict(ITEMS)
    for name in ("x1", "x2", "x3"):
        encode_one(built, {**USER, name: [1]}, items)
    assert len(built._computable) == 1


@pytest.mark.parametrize("tags", [["a\x1db", "c", None], ["a", "b", "c"]])
def test_request_of_several_users_equals_full_rows(tags: list[str | None]) -> None:
    built = encoder(*FEATURES)
    users = {name: values * 3 for name, values in USER.items()} | {
        "tags": tags,
        "age": ["31", "x", "50"],
        "s__cate": ["x;;y", "", "z;x"],
        "kv": ["x:2\x1dy:3", None, "z:5"],
    }
    owners = np.array([1, 0, 2, 1])
    request, bad = built.encode_request(pa.RecordBatch.from_pydict(users), pa.RecordBatch.from_pydict(ITEMS), owners)
    rows = {name: [values[owner] for owner in owners] for name, values in users.items()} | ITEMS
    expected, full_bad = built.encode(pa.RecordBatch.from_pydict(rows))
    columns = request.columns()
    assert columns.keys() == expected.keys()
    for name in columns:
        assert_columns_equal(columns[name], expected[name])
    assert set(request.by_user) == {"age", "tags", "weighted", "v", "literal", "s__cate"}
    assert {column.num_rows for column in request.by_user.values()} == {3}
    assert bad.mask.tolist() == full_bad.mask.tolist() == [True, False, False, True]


def test_unequal_lengths_of_user_sequences_are_reported_for_every_item() -> None:
    pair = [f'features {{ id_feature {{ feature_name: "{n}" expression: "user:{n}" {HASHED} }} }}' for n in "pq"]
    built = encoder(
        f'sequence_feature {{ sequence_name: "s" sequence_length: 5 sequence_delim: ";" {" ".join(pair)} }}'
    )
    users = pa.RecordBatch.from_pydict({"s__p": ["a;b", "a"], "s__q": ["a;b", "a;b;c"]})
    _, bad = built.encode_request(users, pa.RecordBatch.from_pydict({"x": [1, 2, 3]}), np.array([1, 0, 1]))
    assert reports(bad) == [("s__q", UNEQUAL, [0, 2], ["3 elements, not the 1 of s__p"] * 2)]
