"""Requests that carry ids only are answered as those that carry all columns, with each kind of store."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

import tzrec
from tests.fixtures.redis_server import redis_server
from tests.fixtures.small_model import OUTPUTS, exported_package, small_rows
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.arrow_body import ARROW
from tzrec.server.run import Server
from tzrec.server.stores.build import build_stores
from tzrec.server.stores.keys import to_keys
from tzrec.server.stores.packed_store import PackedStore

USER_COLUMNS = ["friend", "scores", "clicks__item", "clicks__tags", "clicks__price", "place"]
ITEM_COLUMNS = ["price", "tags"]


def stored_rows() -> tuple[pa.Table, pa.Table]:
    """Users by `user` and items by `item`, with the columns of other models beside."""
    rows = small_rows(40)
    users = rows.select(["user", *USER_COLUMNS]).filter(rows["user"].is_valid())
    items = rows.select(ITEM_COLUMNS).append_column("item", pa.array(range(40)))
    return users, items.append_column("colour", pa.array(["red"] * 40))


def parquet_settings(directory: Path) -> list[str]:
    for name, table in zip(("users", "items"), stored_rows(), strict=True):
        pq.write_table(table, directory / f"{name}.parquet")
    return [f'parquet_store {{ path: "{directory}/{name}.parquet" }}' for name in ("users", "items")]


def config_of(settings: list[str]) -> ServeConfig:
    text = "http_port: 0 grpc_port: 0 "
    for name, key, kind in zip(("users", "items"), ("user", "item"), settings, strict=True):
        text += f'feature_stores {{ name: "{name}" key: "{key}" timeout_ms: 5000 {kind} }} '
    return text_format.Parse(text, ServeConfig(model_path=str(exported_package())))


def write_rows(config: ServeConfig) -> None:
    for store, table in zip(build_stores(config.feature_stores), stored_rows(), strict=True):
        assert isinstance(store, PackedStore)
        key = store.config.key
        rows = table.drop_columns([key]).combine_chunks().to_batches()[0]
        store.write(to_keys(table[key], key), rows)
        store.close()


@contextmanager
def running(config: ServeConfig) -> Iterator[Server]:
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.is_listening.wait(60)
    try:
        yield server
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module", params=["parquet", "lmdb", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "parquet":
        with running(config_of(parquet_settings(directory))) as server:
            yield server
        return
    pytest.importorskip("msgpack", reason="needs msgpack")
    pytest.importorskip(request.param, reason=f"needs {request.param}")
    if request.param == "lmdb":
        config = config_of([f'lmdb_store {{ path: "{directory}" prefix: "{name}:" }}' for name in ("users", "items")])
        write_rows(config)
        with running(config) as server:
            yield server
        return
    with redis_server(directory) as (url, _):
        kinds = [f'redis_store {{ url: "{url}" prefix: "{name}:" cache_s: 60 }}' for name in ("users", "items")]
        config = config_of(kinds)
        write_rows(config)
        with running(config) as server:
            yield server


def send(server: Server, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    data = body if isinstance(body, bytes) else json.dumps(body)
    connection.request("POST", f"/v2/models/{exported_package().name}/{path}", data, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content if headers else json.loads(content)


def full_rows(users: list[str], items: list[int]) -> pa.Table:
    """Rows of a request that carries all columns; null in those of unknown ids."""
    user_rows, item_rows = stored_rows()
    places = [
        user_rows["user"].to_pylist().index(user) if user in user_rows["user"].to_pylist() else None for user in users
    ]
    table = user_rows.drop_columns(["user"]).take(pa.array(places, pa.int64()))
    item_places = pa.array([item if item < 40 else None for item in items], pa.int64())
    for name in ITEM_COLUMNS:
        table = table.append_column(name, item_rows[name].take(item_places))
    return table.append_column("user", pa.array(users)).append_column("item", pa.array(items))


def assert_scores(received: dict[str, Any], rows: pa.Table) -> None:
    scores = tzrec.load(exported_package()).predict(rows)
    for name in OUTPUTS:
        expected = np.array(scores[name].to_pylist(), np.float32)
        np.testing.assert_allclose(np.reshape(received[name], expected.shape), expected, atol=1e-6)


def test_rank_of_ids_equals_the_request_with_all_columns(server: Server) -> None:
    items = list(range(39, 0, -1))
    for user in ("u3", "nobody"):  # an unknown user has no features
        body = {"user": {"user": user}, "items": [{"item": item} for item in items]}
        for _ in range(2):  # the second time from the cache
            status, answer = send(server, "rank", body)
            assert status == 200, answer
            assert_scores(answer["outputs"], full_rows([user] * len(items), items))


def test_rank_takes_columns_of_the_request_before_those_of_the_store(server: Server) -> None:
    rows = full_rows(["u3"] * 2, [5, 6])
    price = pa.array([7.5, None])
    rows = rows.set_column(rows.column_names.index("price"), "price", price)
    rows = rows.set_column(rows.column_names.index("friend"), "friend", pa.array(["u1", "u1"]))
    body = {"user": {"user": "u3", "friend": "u1"}, "items": [{"item": 5, "price": 7.5}, {"item": 6}]}
    status, answer = send(server, "rank", body)
    assert status == 200
    assert_scores(answer["outputs"], rows)


USERS, ITEMS = ["u1", "u2", "u1", "u99"], [8, 9, 9, 10]


def test_infer_of_ids_equals_the_request_with_all_columns(server: Server) -> None:
    inputs = [
        {"name": "user", "datatype": "BYTES", "shape": [4], "data": USERS},
        {"name": "item", "datatype": "INT64", "shape": [4, 1], "data": ITEMS},
    ]
    status, answer = send(server, "infer", {"inputs": inputs})
    assert status == 200
    assert_scores({output["name"]: output["data"] for output in answer["outputs"]}, full_rows(USERS, ITEMS))


def test_arrow_of_ids_equals_the_request_with_all_columns(server: Server) -> None:
    sink, rows = pa.BufferOutputStream(), pa.table({"user": USERS, "item": ITEMS})
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    status, content = send(server, "infer", sink.getvalue().to_pybytes(), **{"Content-Type": ARROW})
    assert status == 200
    assert_scores(pa.ipc.open_stream(content).read_all().to_pydict(), full_rows(USERS, ITEMS))


def test_grpc_of_ids_equals_the_request_with_all_columns(server: Server) -> None:
    request = pb.ModelInferRequest(model_name=exported_package().name)
    user = request.inputs.add(name="user", datatype="BYTES", shape=[4])
    user.contents.bytes_contents.extend(text.encode() for text in USERS)
    request.inputs.add(name="item", datatype="INT64", shape=[4]).contents.int64_contents.extend(ITEMS)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        answer = infer(request, timeout=60)
    raw = zip(answer.outputs, answer.raw_output_contents, strict=True)
    assert_scores({output.name: np.frombuffer(data, "<f4") for output, data in raw}, full_rows(USERS, ITEMS))


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("rank", {"items": [{"item": 0.5}]}, 'column "item" has a key that is no whole number'),
        ("rank", {"user": {"user": "u1"}, "items": [{"y": 1}]}, "the items have no column of the model"),
        (
            "infer",
            {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]},
            "feature stores have rows of user, item",
        ),
    ],
)
def test_request_with_a_mistake_is_refused(server: Server, path: str, body: Any, message: str) -> None:
    status, answer = send(server, path, body)
    assert status == 400 and message in answer["error"], answer


def test_requests_go_on_while_the_store_hangs(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="needs redis")
    pytest.importorskip("msgpack", reason="needs msgpack")
    with redis_server(tmp_path) as (url, process):
        config = config_of([f'redis_store {{ url: "{url}" prefix: "{name}:" }}' for name in ("users", "items")])
        write_rows(config)
        for store in config.feature_stores:
            store.timeout_ms = 200
        config.feature_stores[1].is_required = True
        with running(config) as server:
            only_user = {"user": {"user": "u3"}, "items": [{"item": 5, "price": 1.5, "tags": [1]}]}
            assert send(server, "rank", only_user)[0] == 200
            os.kill(process.pid, signal.SIGSTOP)
            try:
                status, answer = send(server, "rank", only_user)
                assert status == 200  # the features of the user are missing
                nobody = full_rows(["nobody"], [5]).drop_columns(["user", "price", "tags"])
                nobody = nobody.append_column("user", pa.array(["u3"])).append_column("price", pa.array([1.5]))
                assert_scores(answer["outputs"], nobody.append_column("tags", pa.array([[1]])))
                status, answer = send(server, "rank", {"items": [{"item": 5}]})
                assert status == 503 and answer["error"] == "store items: no answer within 200 ms; try again later"
            finally:
                os.kill(process.pid, signal.SIGCONT)
            deadline = 50
            while send(server, "rank", {"items": [{"item": 5}]})[0] != 200:
                deadline -= 1
                assert deadline


def test_items_with_a_key_that_is_no_column_are_scored_without_their_store() -> None:
    pytest.importorskip("redis", reason="needs redis")
    config = config_of(['redis_store { url: "redis://127.0.0.1:1" }'] * 2)
    config.feature_stores[1].key = "sku"
    with running(config) as server:
        body = {"user": {"user": "u3", "friend": "u1", "price": 2.5}, "items": [{"sku": 1}, {"sku": 2}]}
        status, answer = send(server, "rank", body)
    assert status == 200, answer
    rows = full_rows(["nobody"] * 2, [99, 99]).drop_columns(["user", "friend", "price", "item"])
    for name, values in (("user", ["u3"] * 2), ("friend", ["u1"] * 2), ("price", [2.5] * 2), ("item", pa.nulls(2))):
        rows = rows.append_column(name, pa.array(values) if isinstance(values, list) else values)
    assert_scores(answer["outputs"], rows)
