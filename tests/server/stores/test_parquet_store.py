from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

from tests.fixtures.log_lines import recorded_log
from tzrec.errors import DataError
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.parquet_store import ParquetStore


def config(path: Path, extra: str = "") -> StoreConfig:
    text = f'name: "items" key: "item_id" parquet_store {{ path: "{path}" poll_s: 0.02 }} {extra}'
    return text_format.Parse(text, StoreConfig())


def keys(*values: str) -> pa.Array:
    return pa.array(values, pa.large_string())


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_store_of_a_folder_returns_rows_by_key(tmp_path: Path) -> None:
    for day, ids in (("1", [1, 2]), ("2", [2, 3])):
        (tmp_path / f"day={day}").mkdir()
        rows = {"item_id": ids, "price": [item * 1.5 for item in ids], "tags": [[item] for item in ids]}
        pq.write_table(pa.table(rows), tmp_path / f"day={day}" / "part.parquet")
    store = ParquetStore(config(tmp_path))
    store.start()
    assert store.columns == {"price", "tags", "day"}
    rows = store.look_up(keys("3", "9", "2"), ["price", "absent", "tags", "day"])
    assert rows.is_known.tolist() == [True, False, True]
    assert rows.table.to_pydict() == {
        "price": [4.5, None, 3.0],
        "tags": [[3], None, [2]],
        "day": [2, None, 2],
    }
    store.close()


def test_store_reads_only_columns_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a"], "price": [1], "brand": ["b"]}), path)
    store = ParquetStore(config(path, 'columns: "brand"'))
    store.start()
    assert store.columns == {"brand"}
    assert store.look_up(keys("a"), ["price", "brand"]).table.to_pydict() == {"brand": ["b"]}
    store.close()


def test_store_reads_changed_files_again(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"

    def write(table: pa.Table) -> None:
        pq.write_table(table, tmp_path / "draft")
        (tmp_path / "draft").rename(path)

    def price() -> list[object]:
        return store.look_up(keys("1"), ["price"]).table["price"].to_pylist()

    write(pa.table({"item_id": [1], "price": [1.0]}))
    store = ParquetStore(config(path))
    store.start()
    assert price() == [1.0]
    write(pa.table({"item_id": [1, 2], "price": [2.0, 0.0]}))
    wait_until(lambda: price() == [2.0])
    with recorded_log() as lines:
        path.write_bytes(b"no Parquet")
        wait_until(lambda: any("the rows read before stay in use" in line for line in lines))
        assert price() == [2.0]
        path.unlink()
        wait_until(lambda: sum("the rows read before stay in use" in line for line in lines) >= 2)
    write(pa.table({"item_id": ["1"], "price": ["free"]}))
    wait_until(lambda: price() == ["free"])
    store.close()


def test_store_without_files_or_key_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        ParquetStore(config(tmp_path / "missing")).start()
    pq.write_table(pa.table({"item": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match='no column "item_id"'):
        ParquetStore(config(tmp_path)).start()
    pq.write_table(pa.table({"item_id": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="the files have no rows"):
        ParquetStore(config(tmp_path)).start()


def test_store_with_repeated_keys_uses_the_last_row_and_warns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item_id": [1, None, 1], "price": [1, 2, 3]}), tmp_path / "a.parquet")
    store = ParquetStore(config(tmp_path))
    with recorded_log() as lines:
        store.start()
    assert "serve  store items: 2 rows are not used: they have no key, or the key of a later row" in lines
    assert store.look_up(keys("1"), ["price"]).table["price"].to_pylist() == [3]
    store.close()
