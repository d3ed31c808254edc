"""Encoding of pairs equals that of rows with the columns of both, for features of users, of items and of both."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format

from tzrec.features.column import Column
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.pair_encoder import PairEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig

FEATURES = """
data_config { fg_mode: FG_DAG }
feature_configs { id_feature { feature_name: "user" expression: "user:user" num_buckets: 9 embedding_dim: 2 } }
feature_configs { id_feature { feature_name: "tags" expression: "user:tags" hash_bucket_size: 9 embedding_dim: 2
  weighted: true } }
feature_configs { raw_feature { feature_name: "vector" expression: "user:vector" value_dim: 2 } }
feature_configs { id_feature { feature_name: "item" expression: "item:item" num_buckets: 9 embedding_dim: 2 } }
feature_configs { id_feature { feature_name: "kinds" expression: "item:kinds" hash_bucket_size: 9 embedding_dim: 2 } }
feature_configs { combo_feature { feature_name: "pair" expression: "user:user" expression: "item:kinds"
  hash_bucket_size: 50 embedding_dim: 2 } }
feature_configs { expr_feature { feature_name: "sum" expression: "user + item"
  variables: ["user:user", "item:item"] } }
feature_configs { sequence_feature { sequence_name: "h" sequence_length: 9 sequence_delim: ";"
  features { id_feature { feature_name: "item" expression: "item:item" num_buckets: 9 embedding_dim: 2 } }
  features { id_feature { feature_name: "words" expression: "item:words" hash_bucket_size: 9 embedding_dim: 2
    value_dim: 0 } }
  features { raw_feature { feature_name: "age" expression: "user:age" } }
} }
"""
USERS = {
    "user": [1, 2, 3],
    "tags": ["a:0.5\x1db:2", "", "c:1"],
    "vector": ["1\x1d2", "3\x1d4", "5\x1d6"],
    "h__item": ["1;2;3", "", "4"],
    "h__words": ["x\x1dy;z;x", "", "w"],
    "h__age": ["1;2;3", "", "4"],
}
ITEMS = {"item": [4, 5, 6, 7], "kinds": ["p", "p\x1dq", "", "r"]}


def assert_equal(actual: Column, expected: Column) -> None:
    for name in ("values", "lengths", "weights", "sequence_lengths"):
        left, right = getattr(actual, name), getattr(expected, name)
        assert (left is None) == (right is None), name
        if left is not None:
            np.testing.assert_array_equal(left, right)
    assert actual.dim == expected.dim


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    config = text_format.Parse(FEATURES, EasyRecConfig())
    return FeatureEncoder.from_config(config.feature_configs, config.data_config)


def test_pairs_equal_rows_with_all_columns(encoder: FeatureEncoder) -> None:
    pairs = PairEncoder(encoder, ITEMS)
    assert pairs.item_columns == ("item", "kinds")
    assert set(pairs.user_columns) == set(USERS)
    users, items = pa.RecordBatch.from_pydict(USERS), pa.RecordBatch.from_pydict(ITEMS)
    user_rows, item_rows = np.array([2, 0, 1, 0, 2]), np.array([0, 3, 3, 1, 2])
    encoded, bad = pairs.encode_users(users)
    assert not bad
    columns = pairs.encode_pairs(users, encoded, items, user_rows, item_rows)
    rows = {name: array.take(pa.array(user_rows)) for name, array in zip(users.schema.names, users.columns)}
    rows |= {name: array.take(pa.array(item_rows)) for name, array in zip(items.schema.names, items.columns)}
    expected, _ = encoder.encode(pa.RecordBatch.from_pydict(rows))
    assert set(columns) == set(expected)
    for name in expected:
        assert_equal(columns[name], expected[name])


def test_take_of_no_rows_is_empty(encoder: FeatureEncoder) -> None:
    encoded, _ = PairEncoder(encoder, ITEMS).encode_users(pa.RecordBatch.from_pydict(USERS))
    for column in encoded.values():
        assert column.take(np.empty(0, np.int64)).num_rows == 0
