"""Items nearest to users over REST, with an index in a package whose output `probs_kind` is taken as user vector."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format

import tzrec
from tests.fixtures.servers import send, serving
from tests.fixtures.small_model import exported_package, small_rows
from tests.server.test_openapi import problems
from tzrec.client import Client, ServerError
from tzrec.errors import PackageError, UsageError
from tzrec.protos.feature_store_pb2 import FeatureStore
from tzrec.protos.serve_pb2 import ServeConfig
from tzrec.retrieval.index import build_index
from tzrec.retrieval.index_files import write_index
from tzrec.retrieval.options import IndexOptions
from tzrec.retrieval.vectors import ItemVectors
from tzrec.server.arrow_body import ARROW
from tzrec.server.openapi import document
from tzrec.server.run import Server
from tzrec.serving import retriever

COLUMNS = ["friend", "item", "price", "place"]
"""Columns of the users of these requests; the others are missing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    for name in ("user", "plain"):
        shutil.copytree(exported_package(), root / name)
    vectors = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    items, options = ItemVectors.of(pa.array([f"i{item}" for item in range(50)]), vectors), IndexOptions("ExactIP")
    write_index(root / "user", build_index(items.values, options), items, options)
    stored = small_rows(20).select(["friend", "place", "price"])
    pq.write_table(stored, root / "users.parquet")
    text = 'name: "users" key: "friend" timeout_ms: 5000 parquet_store { path: "PATH" }'
    store = text_format.Parse(text.replace("PATH", f"{root}/users.parquet"), FeatureStore())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retriever, "USER_OUTPUT", "probs_kind")
        with serving(root, max_retrieved=100, feature_stores=[store]) as server:
            yield server


def ask(server: Server, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Send a request to a model; returns the status and the body, which is as the description of the server says."""
    status, answer, _ = send(server, "POST", f"/v2/models/{path}", body, **headers)
    if status == 200 and not headers:
        description = document(["user"])["components"]["schemas"]
        assert list(problems(answer, description["RetrieveResponse"], description)) == []
    return status, answer


def expected(server: Server, users: pa.Table, k: int) -> dict[str, list[Any]]:
    finder = tzrec.load(Path(server._config.model_path) / "user")
    for name in finder.columns:
        if name not in users.column_names:
            users = users.append_column(name, pa.nulls(users.num_rows))
    return finder.retrieve(users, k).to_pydict()


def assert_items(received: dict[str, list[Any]], items: dict[str, list[Any]]) -> None:
    assert received["ids"] == items["ids"]
    np.testing.assert_allclose(received["scores"], items["scores"], atol=1e-6)


def test_retrieve_finds_the_items_of_the_package(server: Server) -> None:
    users = small_rows(6).select(COLUMNS)
    status, answer = ask(server, "user/retrieve", {"users": users.to_pylist(), "k": 7})
    assert status == 200 and answer["model_name"] == "user" and answer["model_version"] == "1"
    items = expected(server, users, 7)
    assert len(items["ids"]) == 6 and len(set(items["ids"][0])) == 7
    assert_items(answer["outputs"], items)
    user = users.to_pylist()[2]
    context = {"place": user.pop("place")}
    status, answer = ask(server, "user/versions/1/retrieve", {"user": user, "context": context, "k": 60})
    assert status == 200
    assert_items(answer["outputs"], {name: lists[0] for name, lists in expected(server, users.slice(2, 1), 60).items()})


def test_retrieve_of_ids_reads_the_feature_store(server: Server) -> None:
    status, answer = ask(server, "user/retrieve", {"users": [{"friend": f"u{number}"} for number in (3, 9)], "k": 5})
    assert status == 200
    stored = small_rows(20).select(["friend", "place", "price"])
    assert_items(answer["outputs"], expected(server, stored.take([2, 8]), 5))


def test_retrieve_of_arrow_returns_lists(server: Server) -> None:
    users = small_rows(4).select(COLUMNS)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, users.schema) as writer:
        writer.write_table(users)
    body, headers = sink.getvalue().to_pybytes(), {"Content_Type": ARROW}
    status, content = ask(server, "user/retrieve?k=3", body, **headers)
    assert status == 200
    assert_items(pa.ipc.open_stream(content).read_all().to_pydict(), expected(server, users, 3))
    for path in ("user/retrieve", "user/retrieve?k=-1", "user/retrieve?k=x"):
        status, answer = ask(server, path, body, **headers)
        assert status == 400 and "not a whole number from 1 up" in answer["error"]


def test_retrieve_by_the_client_equals_the_package(server: Server) -> None:
    users = small_rows(30).select(COLUMNS)
    with Client(f"http://127.0.0.1:{server.http_port}", "user", timeout_s=60) as client:
        assert_items(client.retrieve(users, 3).to_pydict(), expected(server, users, 3))
        user = users.to_pylist()[2]
        assert_items(client.retrieve(user, 4).to_pydict(), expected(server, users.slice(2, 1), 4))
        with pytest.raises(UsageError, match="k must be a whole number from 1 up; received 0"):
            client.retrieve(users, 0)
        with pytest.raises(ServerError, match="400: 30 users and k = 7 are more than 100 items"):
            client.retrieve(users, 7)
    with (
        Client(f"grpc://127.0.0.1:{server.grpc_port}", "user") as client,
        pytest.raises(UsageError, match="gRPC has no request for items; use the http:// address"),
    ):
        client.retrieve(users, 3)


def test_retrieve_by_several_clients_keeps_their_numbers_of_items_apart(server: Server) -> None:
    users = small_rows(12).select(COLUMNS)
    items = expected(server, users, 12)

    def retrieve(number: int) -> None:
        user = users.slice(number, 1).to_pylist()[0]
        for _ in range(5):
            outputs = ask(server, "user/retrieve", {"user": user, "k": number + 1})[1]["outputs"]
            assert_items(outputs, {name: lists[number][: number + 1] for name, lists in items.items()})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(retrieve, range(12)))


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("plain/retrieve", {"user": {"item": 1}, "k": 3}, 404, 'model "plain" has no index of items; create one'),
        ("users/retrieve", {"user": {"item": 1}, "k": 3}, 404, 'no model "users"; did you mean "user"?'),
        ("user/retrieve", [], 400, "the body has no user, or both forms of them"),
        ("user/retrieve", {"user": {}, "users": [], "k": 3}, 400, "the body has no user, or both forms of them"),
        ("user/retrieve", {"user": 1, "k": 3}, 400, '"user" is not an object'),
        ("user/retrieve", {"users": {}, "k": 3}, 400, '"users" is not a list of objects'),
        ("user/retrieve", {"users": [1], "k": 3}, 400, '"users" is not a list of objects'),
        ("user/retrieve", {"user": {"item": 1}, "context": 1, "k": 3}, 400, '"context" is not an object'),
        ("user/retrieve", {"user": {"item": 1}}, 400, '"k" is None, not a whole number from 1 up'),
        ("user/retrieve", {"user": {"item": 1}, "k": True}, 400, '"k" is True, not a whole number from 1 up'),
        ("user/retrieve", {"user": {"item": 1}, "k": 0}, 400, '"k" is 0, not a whole number from 1 up'),
        ("user/retrieve", {"user": {"item": 1}, "n": 3}, 400, '"n" is not one of user, users, context, k'),
        ("user/retrieve", {"user": {"item": 1}, "k": 101}, 400, "1 users and k = 101 are more than 100 items"),
        ("user/retrieve", {"user": {"x": 1}, "k": 3}, 400, "the request has no column of the model"),
        ("user/retrieve", {"users": [], "k": 3}, 400, "the request has no"),
        ("user/retrieve", {"users": [{"item": 1}, {"item": 99}], "k": 3}, 400, "row 1: column \"item\" has '99'"),
        ("user/retrieve", b"{", 400, "the body is not JSON"),
    ],
)
def test_retrieve_request_with_a_mistake_is_refused(
    server: Server, path: str, body: Any, status: int, message: str
) -> None:
    received, answer = ask(server, path, body)
    assert (received, message in answer["error"]) == (status, True), answer


def test_package_with_a_damaged_index_is_not_served(server: Server, tmp_path: Path) -> None:
    shutil.copytree(Path(server._config.model_path) / "user", tmp_path / "user")
    (tmp_path / "user" / "id_mapping").write_text("i1\n")
    with pytest.raises(PackageError, match=r"the index in .* is damaged: id_mapping"):
        Server(ServeConfig(model_path=str(tmp_path / "user"), http_port=0, grpc_port=0))
