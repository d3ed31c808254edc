from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf import text_format

from tests.fixtures.log_lines import recorded_log
from tests.fixtures.redis_server import redis_server
from tzrec.errors import ConfigError, StoreError
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.redis_store import RedisStore, ValueCache

pytest.importorskip("redis", reason="needs redis")
pytest.importorskip("msgpack", reason="needs msgpack")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def redis_store(url: str, settings: str = "", prefix: str = "item:") -> RedisStore:
    text = f'name: "items" key: "item_id" timeout_ms: 300 redis_store {{ url: "{url}" prefix: "{prefix}" {settings} }}'
    return RedisStore(text_format.Parse(text, StoreConfig()))


def strings(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def prices(store: RedisStore, *keys: str) -> list[object]:
    return store.look_up(strings(*keys), ["price"]).table["price"].to_pylist()


def test_store_returns_rows_that_were_written(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    store = redis_store(server[0])
    store.start()
    store.write(strings("1", None, "ü"), pa.record_batch({"price": [1.5, 0.0, 2.5], "tags": [[1], [], None]}))
    stored = store.look_up(strings("ü", "2", "1"), ["tags", "price"])
    assert stored.is_known.tolist() == [True, False, True] and stored.num_cached == 0
    assert stored.table.to_pydict() == {"tags": [None, None, [1]], "price": [2.5, None, 1.5]}
    assert redis_store(server[0], prefix="user:").look_up(strings("1"), ["price"]).is_known.tolist() == [False]
    store.close()


def test_store_with_more_keys_than_one_request_holds_returns_all(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    store, ids = redis_store(server[0], prefix="many:"), [str(number) for number in range(4500)]
    store.write(strings(*ids), pa.record_batch({"price": list(range(4500))}))
    assert prices(store, *ids) == list(range(4500))
    store.close()


def test_store_with_cache_fetches_a_value_again_when_it_is_too_old(
    server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    writer = redis_store(server[0], prefix="aged:")
    store = redis_store(server[0], "cache_s: 0.5", prefix="aged:")
    writer.write(strings("1"), pa.record_batch({"price": [1]}))
    start = time.monotonic()
    assert prices(store, "1", "2") == [1, None]
    writer.write(strings("1", "2"), pa.record_batch({"price": [5, 6]}))
    stored = store.look_up(strings("2", "1"), ["price"])
    if time.monotonic() - start < 0.4:
        assert stored.table["price"].to_pylist() == [None, 1] and stored.num_cached == 2
    while prices(store, "1", "2") != [5, 6]:
        assert time.monotonic() - start < 30
        time.sleep(0.05)
    assert time.monotonic() - start >= 0.5


def test_store_connects_again_after_its_server_has_restarted(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, _):
        store = redis_store(url)
        store.start()
        store.write(strings("1"), pa.record_batch({"price": [1]}))
    with pytest.raises(StoreError, match="store items does not answer"):
        prices(store, "1")
    with redis_server(tmp_path, port=int(url.rpartition(":")[2])):
        store.write(strings("1"), pa.record_batch({"price": [2]}))
        assert prices(store, "1") == [2]


def test_store_that_hangs_raises_after_its_time_out(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, process):
        store = redis_store(url)
        store.write(strings("1"), pa.record_batch({"price": [1]}))
        os.kill(process.pid, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            prices(store, "1")
        assert 0.25 < time.monotonic() - start < 5
        os.kill(process.pid, signal.SIGCONT)
        assert prices(store, "1") == [1]


def test_store_with_a_password_reads_it_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    with redis_server(tmp_path, "--requirepass", "secret") as (url, _):
        store = redis_store(url, f'password_file: "{tmp_path}/password"')
        store.write(strings("1"), pa.record_batch({"price": [1]}))
        assert prices(store, "1") == [1]
        with pytest.raises(StoreError, match=r"store items does not answer: .*authenticate"):
            prices(redis_store(url), "1")


def test_store_with_another_url_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'feature_stores "items": redis_store.url: .*give redis://host:port'):
        redis_store("http://localhost")


def test_store_whose_server_is_down_starts_and_warns() -> None:
    with recorded_log() as lines:
        redis_store("redis://127.0.0.1:1").start()
    assert len(lines) == 1 and lines[0].startswith("serve  store items does not answer yet: ")


def test_value_cache_drops_the_oldest_entries() -> None:
    cache = ValueCache(3, 60.0)
    cache.put({b"a": b"1", b"b": b"2", b"c": None})
    cache.put({b"a": b"3"})
    cache.put({b"d": b"4"})
    assert cache.get([b"a", b"b", b"c", b"d", b"e"]) == {b"a": b"3", b"c": None, b"d": b"4"}
