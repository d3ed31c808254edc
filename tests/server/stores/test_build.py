from __future__ import annotations

import pytest
from google.protobuf import text_format

from tzrec.errors import ConfigError
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.server.stores.build import build_stores
from tzrec.server.stores.lmdb_store import LmdbStore
from tzrec.server.stores.parquet_store import ParquetStore

STORES = """
feature_stores { name: "items" key: "item_id" parquet_store { path: "items" } }
feature_stores { name: "users" key: "user_id" lmdb_store { path: "users" } }
"""


def test_build_stores_creates_the_class_of_each_kind() -> None:
    stores = build_stores(text_format.Parse(STORES, ServeConfig()).feature_stores)
    assert [(type(store), store.name) for store in stores] == [(ParquetStore, "items"), (LmdbStore, "users")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STORES.replace("users", "items"), r'feature_stores\[1\].name: two feature stores are called "items"'),
        (
            'feature_stores { name: "items" key: "item_id" }',
            r'\[0\]: feature store "items" has no kind; set one of parquet_store, lmdb_store, redis_store',
        ),
    ],
)
def test_build_stores_of_an_incomplete_config_raises(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_stores(text_format.Parse(text, ServeConfig()).feature_stores)
