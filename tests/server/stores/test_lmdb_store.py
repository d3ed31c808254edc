from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf import text_format

from tzrec.errors import StoreError
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.lmdb_store import LmdbStore

pytest.importorskip("lmdb", reason="needs lmdb")
pytest.importorskip("msgpack", reason="needs msgpack")


def lmdb_store(path: Path, extra: str = "") -> LmdbStore:
    text = f'name: "items" key: "item_id" lmdb_store {{ path: "{path}" prefix: "item:" }} {extra}'
    return LmdbStore(text_format.Parse(text, StoreConfig()))


def strings(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def test_store_returns_rows_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "items"
    lmdb_store(path).write(
        strings("1", None, "ü"), pa.record_batch({"price": [1.5, 0.0, 2.5], "brand": ["a", "", None]})
    )
    store = lmdb_store(path)
    store.start()
    assert store.columns is None
    stored = store.look_up(strings("ü", "2", "1"), ["brand", "price"])
    assert stored.is_known.tolist() == [True, False, True]
    assert stored.table.to_pydict() == {"brand": [None, None, "a"], "price": [2.5, None, 1.5]}
    assert store.columns == {"brand", "price"}
    only_price = lmdb_store(path, 'columns: "price"')
    assert only_price.look_up(strings("1"), ["brand", "price"]).table.to_pydict() == {"price": [1.5]}
    assert only_price.columns == {"price"}


def write_in_another_process(path: Path, price: int) -> None:
    """Write the row of the key 1; a process must not open an environment twice."""
    code = (
        "from tests.server.stores.test_lmdb_store import *\n"
        f"lmdb_store(Path({str(path)!r})).write(strings('1'), pa.record_batch({{'price': [{price}]}}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[3])


def test_store_reads_rows_written_meanwhile(tmp_path: Path) -> None:
    lmdb_store(tmp_path / "items").write(strings("1"), pa.record_batch({"price": [1]}))
    store = lmdb_store(tmp_path / "items")
    assert store.look_up(strings("1"), ["price"]).table["price"].to_pylist() == [1]
    write_in_another_process(tmp_path / "items", 2)
    assert store.look_up(strings("1"), ["price"]).table["price"].to_pylist() == [2]
    lmdb_store(tmp_path / "other").write(strings("1"), pa.record_batch({"price": [3]}))
    (tmp_path / "other" / "data.mdb").rename(tmp_path / "items" / "data.mdb")
    assert store.look_up(strings("1"), ["price"]).table["price"].to_pylist() == [3]
    store.close()


def test_stores_share_an_environment(tmp_path: Path) -> None:
    writer = lmdb_store(tmp_path / "items")
    writer.write(strings("1"), pa.record_batch({"price": [1]}))
    stores = [lmdb_store(tmp_path / "items") for _ in range(2)]
    for store in stores:
        assert store.look_up(strings("1"), ["price"]).table["price"].to_pylist() == [1]
        store.close()
    assert stores[1].look_up(strings("1"), ["price"]).is_known.tolist() == [True]
    stores[1].close()
    writer.write(strings("1"), pa.record_batch({"price": [2]}))  # nobody in this process reads any more


def test_store_is_read_by_several_threads(tmp_path: Path) -> None:
    ids = [str(number) for number in range(100)]
    store = lmdb_store(tmp_path / "items")
    store.write(strings(*ids), pa.record_batch({"price": list(range(100))}))
    results: list[list[int]] = []

    def look_up() -> None:
        for _ in range(20):
            results.append(store.look_up(strings(*ids), ["price"]).table["price"].to_pylist())

    threads = [threading.Thread(target=look_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(100))] * 80


def test_store_without_environment_raises(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"items is no LMDB environment.*write it with `tzrec materialize`"):
        lmdb_store(tmp_path / "items").start()
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "data.mdb").write_bytes(b"x" * 8192)
    with pytest.raises(StoreError, match="is no LMDB environment"):
        lmdb_store(tmp_path / "items").start()


def test_store_with_a_key_that_is_too_long_refuses_to_write(tmp_path: Path) -> None:
    store = lmdb_store(tmp_path / "items")
    with pytest.raises(StoreError, match="LMDB takes keys of 1 to 511 bytes"):
        store.write(strings("x" * 600), pa.record_batch({"price": [1]}))
    store.write(strings("1"), pa.record_batch({"price": [1]}))
    assert store.look_up(strings("x" * 600), ["price"]).is_known.tolist() == [False]
