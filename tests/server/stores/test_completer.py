from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from tests.fixtures.log_lines import recorded_log
from tzrec.errors import StoreError
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.errors import UNAVAILABLE, RequestError
from tzrec.server.stores.base import FeatureStore, StoredRows
from tzrec.server.stores.completer import Completer
from tzrec.server.stores.store_metrics import StoreMetrics

COLUMNS = ("user_id", "age", "item_id", "price", "brand")
ITEMS = {"1": {"price": 1.5, "brand": "a"}, "2": {"price": 2.5, "brand": "b"}}
USERS = {"u": {"age": 30, "brand": "of the user"}}


class DictStore(FeatureStore):
    """A store in a dict, which notes what it was asked for."""

    def __init__(self, key: str, rows: dict[str, dict[str, Any]], **settings: Any) -> None:
        super().__init__(StoreConfig(name=f"by_{key}", key=key, **settings))
        self._rows = rows
        self.asked: list[tuple[list[str], list[str]]] = []
        self.wait = threading.Event()
        self.wait.set()
        self.error: Exception | None = None

    @property
    def columns(self) -> frozenset[str] | None:
        return frozenset(name for row in self._rows.values() for name in row)

    def look_up(self, keys: pa.Array, columns: Sequence[str]) -> StoredRows:
        self.asked.append((keys.to_pylist(), list(columns)))
        self.wait.wait(30)
        if self.error is not None:
            raise self.error
        rows = [self._rows.get(key) for key in keys.to_pylist()]
        table = pa.table({name: pa.array([row and row[name] for row in rows]) for name in columns})
        return StoredRows(table, np.array([row is not None for row in rows]))


def complete(stores: Sequence[DictStore], *tables: dict[str, list[Any]]) -> list[dict[str, list[Any]]]:
    """Complete the tables of a request; returns them as dicts."""
    completer = Completer(stores, StoreMetrics(CollectorRegistry()))
    try:
        completed = asyncio.run(completer.complete([pa.table(table) for table in tables], COLUMNS))
    finally:
        for store in stores:
            store.wait.set()
        completer.close()
    return [table.to_pydict() for table in completed]


def test_completer_adds_the_columns_that_a_request_leaves_out() -> None:
    users, items = DictStore("user_id", USERS), DictStore("item_id", ITEMS)
    user, rows = complete([items, users], {"user_id": ["u"]}, {"item_id": [2, 9, 1]})
    assert user == {"user_id": ["u"], "age": [30]}
    assert rows == {"item_id": [2, 9, 1], "price": [2.5, None, 1.5], "brand": ["b", None, "a"]}
    assert items.asked == [(["2", "9", "1"], ["price", "brand"])]


def test_completer_leaves_columns_of_the_request_as_they_are() -> None:
    items = DictStore("item_id", ITEMS)
    (rows,) = complete([items], {"item_id": ["1", "2"], "price": [None, 7.0]})
    assert rows == {"item_id": ["1", "2"], "price": [None, 7.0], "brand": ["a", "b"]}
    assert complete([items], {"brand": ["x"]}, {"item_id": [1]}) == [{"brand": ["x"]}, {"item_id": [1], "price": [1.5]}]
    everything = {"item_id": [1], "price": [0.0], "brand": ["x"]}
    assert complete([items], everything) == [everything] and len(items.asked) == 2


def test_completer_asks_for_each_key_once() -> None:
    users = DictStore("user_id", USERS)
    (rows,) = complete([users], {"user_id": ["u", None, "u", "v", ""]})
    assert rows["age"] == [30, None, 30, None, None] and users.asked[0][0] == ["u", "v"]
    (rows,) = complete([users], {"user_id": [None, ""]})
    assert rows == {"user_id": [None, ""]} and len(users.asked) == 1


def test_completer_takes_a_column_of_two_stores_from_the_first() -> None:
    for order, brand in (((0, 1), "of the user"), ((1, 0), "b")):
        stores = [DictStore("user_id", USERS), DictStore("item_id", ITEMS)]
        (rows,) = complete([stores[place] for place in order], {"user_id": ["u"], "item_id": ["2"]})
        assert rows == {"user_id": ["u"], "item_id": ["2"], "age": [30], "price": [2.5], "brand": [brand]}


def test_completer_takes_items_where_the_user_has_the_key_as_well() -> None:
    user, rows = complete([DictStore("item_id", ITEMS)], {"item_id": ["1"]}, {"item_id": ["2"]})
    assert user == {"item_id": ["1"]} and rows["price"] == [2.5]


@pytest.mark.parametrize("is_required", [False, True])
def test_completer_goes_on_without_a_store_that_is_late_unless_it_is_required(is_required: bool) -> None:
    items = DictStore("item_id", ITEMS, timeout_ms=50, is_required=is_required)
    users = DictStore("user_id", USERS, timeout_ms=20_000)
    items.wait.clear()
    request = {"user_id": ["u"], "item_id": ["1"]}
    if is_required:
        with pytest.raises(RequestError, match="store by_item_id: no answer within 50 ms; try again later") as raised:
            complete([items, users], request)
        assert raised.value.status == UNAVAILABLE
    else:
        assert complete([items, users], request)[0] == {**request, "age": [30], "brand": ["of the user"]}


def test_completer_logs_errors_once_and_counts_all() -> None:
    registry = CollectorRegistry()
    items = DictStore("item_id", ITEMS, timeout_ms=20_000)
    completer = Completer([items], StoreMetrics(registry))
    rows = pa.table({"item_id": [1, 2, 2, 3]})
    items.error = StoreError("store by_item_id does not answer: reset")
    with recorded_log() as lines:
        for _ in range(3):
            (completed,) = asyncio.run(completer.complete([rows], COLUMNS))
            assert completed.column_names == ["item_id"]
        items.error = TimeoutError()
        asyncio.run(completer.complete([rows], COLUMNS))
    items.error = None
    asyncio.run(completer.complete([rows], COLUMNS))
    completer.close()
    assert lines == ["serve  store by_item_id does not answer: reset"]

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tzrec_store_{name}", {"store": "by_item_id", **labels})

    assert value("errors_total", reason="error") == 3 and value("errors_total", reason="timeout") == 1
    assert value("keys_total") == 3 and value("unknown_keys_total") == 1
    assert value("cached_keys_total") == value("damaged_values_total") == 0
    assert value("seconds_count") == 5


def test_completer_refuses_keys_of_another_type() -> None:
    with pytest.raises(RequestError, match='column "item_id" has a key that is no whole number'):
        complete([DictStore("item_id", ITEMS)], {"item_id": [0.5]})
