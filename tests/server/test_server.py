from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

import tzrec
from tests.fixtures.servers import call, send, serving
from tests.fixtures.small_model import OUTPUTS, exported_package, small_rows
from tzrec.errors import UsageError
from tzrec.protos.serve_pb2 import ServeConfig, VersionConfig
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.arrow_body import ARROW
from tzrec.server.infer_json import HEADER_LENGTH
from tzrec.server.run import Server

LISTS = {"tags", "clicks__item", "clicks__price", "clicks__tags"}
"""Columns that are lists of any length, which a rectangular tensor does not hold."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    for version in ("1", "2"):
        shutil.copytree(exported_package(), root / "small" / version)
    with serving(root, versions=VersionConfig(poll_s=0.05)) as server:
        yield server


def tensors(rows: pa.Table) -> list[dict[str, Any]]:
    """Inputs of a request for rows without lists of any length."""
    datatypes = {"string": "BYTES", "int64": "INT64", "double": "FP64"}
    inputs = []
    for name in rows.column_names:
        values, kind = rows[name].to_pylist(), rows.schema.field(name).type
        shape = [len(values), 2] if pa.types.is_list(kind) else [len(values)]
        inputs.append({"name": name, "shape": shape, "datatype": datatypes.get(str(kind), "FP32"), "data": values})
    return inputs


def flat_rows(num_rows: int) -> pa.Table:
    rows = small_rows(num_rows)
    return rows.drop_columns([name for name in rows.column_names if name in LISTS])


def expected(rows: pa.Table) -> dict[str, np.ndarray]:
    """Scores of the package; columns that the rows lack are null."""
    predictor = tzrec.load(exported_package())
    for name in predictor.columns:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    scores = predictor.predict(rows)
    return {name: np.array(scores[name].to_pylist(), np.float32) for name in scores.column_names}


@pytest.mark.parametrize("num_rows", [1, 7, 200])
def test_rest_json_scores_equal_the_package(server: Server, num_rows: int) -> None:
    rows = flat_rows(num_rows)
    status, answer, _ = send(server, "POST", "/v2/models/small/infer", {"id": "a", "inputs": tensors(rows)})
    assert status == 200 and answer["id"] == "a" and answer["model_version"] == "2"
    assert [output["name"] for output in answer["outputs"]] == OUTPUTS
    for output in answer["outputs"]:
        received = np.array(output["data"], np.float32).reshape(output["shape"])
        np.testing.assert_allclose(received, expected(rows)[output["name"]], atol=1e-6)


def test_rest_binary_scores_equal_the_package(server: Server) -> None:
    rows = flat_rows(7).select(["item", "price", "friend"])
    parts = [
        np.asarray(rows["item"]).astype("<i8").tobytes(),
        np.asarray(rows["price"]).astype("<f8").tobytes(),
        b"".join(len(text).to_bytes(4, "little") + text.encode() for text in rows["friend"].to_pylist()),
    ]
    inputs = [
        {key: value for key, value in tensor.items() if key != "data"} | {"parameters": {"binary_data_size": len(part)}}
        for tensor, part in zip(tensors(rows), parts, strict=True)
    ]
    outputs = [{"name": "probs_kind", "parameters": {"binary_data": True}}, {"name": "probs_ctr"}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    body, headers = head + b"".join(parts), {HEADER_LENGTH: str(len(head))}
    status, content, received = send(server, "POST", "/v2/models/small/infer", body, **headers)
    assert status == 200
    length = int({key.lower(): value for key, value in received.items()}[HEADER_LENGTH.lower()])
    kind, ctr = json.loads(content[:length])["outputs"]
    assert kind["shape"] == [7, 3] and kind["parameters"] == {"binary_data_size": 84} and "data" not in kind
    scores = expected(rows)
    np.testing.assert_allclose(np.frombuffer(content[length:], "<f4").reshape(7, 3), scores["probs_kind"], atol=1e-6)
    np.testing.assert_allclose(ctr["data"], scores["probs_ctr"], atol=1e-6)


def test_rest_arrow_scores_equal_the_package(server: Server) -> None:
    rows = small_rows(50)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    body = sink.getvalue().to_pybytes()
    status, content, _ = send(server, "POST", "/v2/models/small/versions/1/infer", body, Content_Type=ARROW)
    assert status == 200
    scores = pa.ipc.open_stream(content).read_all()
    assert scores.column_names == OUTPUTS
    for name, values in expected(rows).items():
        np.testing.assert_allclose(np.array(scores[name].to_pylist()), values, atol=1e-6)


def test_rest_rank_scores_equal_rows_that_repeat_the_user(server: Server) -> None:
    rows = small_rows(9)
    user_names = ["user", "friend", "scores", "clicks__item", "clicks__tags", "clicks__price"]
    user = rows.select(user_names).slice(3, 1).to_pylist()[0]
    context = {"place": rows["place"][3].as_py()}
    items = rows.select(["item", "price", "tags"]).to_pylist()
    del items[2]["price"]
    status, answer, _ = send(
        server, "POST", "/v2/models/small/rank", {"user": user, "context": context, "items": items}
    )
    assert status == 200
    repeated = pa.Table.from_pylist([{**user, **context, "price": None, **item} for item in items], rows.schema)
    for name, values in expected(repeated).items():
        np.testing.assert_allclose(answer["outputs"][name], values, atol=1e-6)
    status, answer, _ = send(server, "POST", "/v2/models/small/rank", {"items": items})
    nobody = pa.Table.from_pylist([{"price": None, **item} for item in items], rows.schema)
    np.testing.assert_allclose(answer["outputs"]["probs_ctr"], expected(nobody)["probs_ctr"], atol=1e-6)


def test_rest_rank_of_several_users_at_once_gives_each_its_scores(server: Server) -> None:
    rows = small_rows(40)
    user_names = ["user", "friend", "scores", "place", "clicks__item", "clicks__tags", "clicks__price"]
    users = rows.select(user_names).to_pylist()[:20]
    users[3]["friend"] = None  # of the type null in its request, of text in the others
    items = rows.select(["item", "price", "tags"]).to_pylist()

    def rank(index: int) -> tuple[int, Any, Any]:
        return send(server, "POST", "/v2/models/small/rank", {"user": users[index], "items": items[index : index + 7]})

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(rank, range(20)))
    for index, (status, answer, _) in enumerate(answers):
        assert status == 200
        repeated = pa.Table.from_pylist([{**users[index], **item} for item in items[index : index + 7]], rows.schema)
        for name, values in expected(repeated).items():
            np.testing.assert_allclose(answer["outputs"][name], values, atol=1e-6)


@pytest.mark.parametrize("is_raw", [True, False])
def test_grpc_scores_equal_the_package(server: Server, is_raw: bool) -> None:
    rows = flat_rows(7).select(["item", "price", "friend"])
    request = pb.ModelInferRequest(model_name="small", id="b")
    for tensor in tensors(rows):
        entry = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        if is_raw and tensor["datatype"] == "BYTES":
            parts = (len(text).to_bytes(4, "little") + text.encode() for text in tensor["data"])
            request.raw_input_contents.append(b"".join(parts))
        elif is_raw:
            kind = {"INT64": "<i8", "FP64": "<f8"}[tensor["datatype"]]
            request.raw_input_contents.append(np.array(tensor["data"], kind).tobytes())
        elif tensor["datatype"] == "BYTES":
            entry.contents.bytes_contents.extend(text.encode() for text in tensor["data"])
        else:
            getattr(entry.contents, f"{tensor['datatype'].lower()}_contents").extend(tensor["data"])
    answer = call(server, "ModelInfer", request, pb.ModelInferResponse)
    assert answer.id == "b" and answer.model_version == "2"
    for output, data in zip(answer.outputs, answer.raw_output_contents, strict=True):
        received = np.frombuffer(data, "<f4").reshape(tuple(output.shape))
        np.testing.assert_allclose(received, expected(rows)[output.name], atol=1e-6)


ITEM = {"name": "item", "shape": [1], "datatype": "INT64", "data": [1]}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("models/small/infer", b"{", 400, "the body is not JSON"),
        ("models/small/infer", b"\xff", 400, "the body is not JSON"),
        ("models/small/infer", [], 400, 'the body has no list "inputs"'),
        ("models/small/infer", {"inputs": [1]}, 400, 'an entry of "inputs" is not {"name"'),
        ("models/small/infer", {"inputs": []}, 400, "the request has no column of the model, which reads item, user"),
        ("models/small/infer", {"inputs": [{**ITEM, "name": "itme"}]}, 400, "the request has no column of the model"),
        ("models/small/infer", {"inputs": [ITEM, ITEM]}, 400, 'input "item" is given twice'),
        ("models/small/infer", {"inputs": [{**ITEM, "shape": [0], "data": []}]}, 400, "the request has no rows"),
        (
            "models/small/infer",
            {"inputs": [ITEM, {**ITEM, "name": "price", "shape": [2], "data": [1, 2]}]},
            400,
            'input "price" has 2 rows, but "item" has 1',
        ),
        ("models/small/infer", {"inputs": [{**ITEM, "data": [99]}]}, 400, "row 0: column \"item\" has '99'"),
        (
            "models/small/infer",
            {"inputs": [ITEM], "outputs": [{"name": "probs_crt"}]},
            400,
            'the model has no output "probs_crt"; did you mean "probs_ctr"?',
        ),
        ("models/small/infer", {"inputs": [ITEM], "outputs": [5]}, 400, '"outputs" is not a list of {"name": ...}'),
        (
            "models/small/infer",
            {"inputs": [{**ITEM, "parameters": {"binary_data_size": 8}}]},
            400,
            'input "item": binary_data_size is 8, but 0 bytes are left',
        ),
        ("models/smal/infer", {"inputs": [ITEM]}, 404, 'no model "smal"; did you mean "small"?'),
        ("models/small/versions/7/infer", {"inputs": [ITEM]}, 404, 'model "small" has no version 7; loaded: 1, 2'),
        ("models/small/rank", {"user": {}}, 400, 'the body has no list "items"'),
        ("models/small/rank", {"items": [], "user": {"user": "u1"}}, 400, "the table of items has no rows"),
        (
            "models/small/rank",
            {"items": [{"itm": 1}], "user": {"user": "u1"}},
            400,
            "the items have no column of the model, which reads ",
        ),
        ("models/small/rank", {"items": [1]}, 400, '"items" is not a list of objects'),
        ("models/small/rank", {"items": [{}], "users": {}}, 400, '"users" is not one of user, items, context'),
        ("models/small/rank", {"items": [{"item": 1}], "user": 5}, 400, '"user" is not an object'),
        (
            "models/small/rank",
            {"items": [{"item": 1}, {"item": "x"}]},
            400,
            '"items.item" has values of different types',
        ),
        ("models/small/rank", {"items": [{"item": 1}, {"item": 99}]}, 400, "row 1: column \"item\" has '99'"),
        ("repository/models/small/reload", {}, 404, '"reload" is neither load nor unload'),
        ("repository/models/nothing/load", {}, 404, 'has no package of a model "nothing"'),
    ],
)
def test_rest_request_with_a_mistake_is_refused(
    server: Server, path: str, body: Any, status: int, message: str
) -> None:
    received, answer, _ = send(server, "POST", f"/v2/{path}", body)
    assert (received, message in answer["error"]) == (status, True), answer


def test_rest_body_that_is_not_of_its_header_is_refused(server: Server) -> None:
    text = json.dumps({"inputs": [ITEM]}).encode()
    for length, message in (("x", "is 'x', not a number of bytes"), ("999", "is '999', not a number of bytes up to")):
        status, answer, _ = send(server, "POST", "/v2/models/small/infer", text, **{HEADER_LENGTH: length})
        assert status == 400 and message in answer["error"]
    body, headers = text + b"123", {HEADER_LENGTH: str(len(text))}
    status, answer, _ = send(server, "POST", "/v2/models/small/infer", body, **headers)
    assert status == 400 and answer["error"].startswith("3 bytes of the body belong to no input")
    status, answer, _ = send(server, "POST", "/v2/models/small/infer", b"arrow?", Content_Type=ARROW)
    assert status == 400 and answer["error"].startswith("the body is not a stream of Arrow")


def test_grpc_request_with_a_mistake_is_refused(server: Server) -> None:
    request = pb.ModelInferRequest(model_name="small", inputs=[{"name": "item", "datatype": "INT64", "shape": [1]}])
    cases = [
        (request, grpc.StatusCode.INVALID_ARGUMENT, 'input "item": 0 values, but shape [1] needs 1'),
        (pb.ModelInferRequest(model_name="x"), grpc.StatusCode.NOT_FOUND, 'no model "x"; known: small'),
    ]
    for wrong, code, message in cases:
        with pytest.raises(grpc.RpcError) as raised:
            call(server, "ModelInfer", wrong, pb.ModelInferResponse)
        assert (raised.value.code(), raised.value.details()) == (code, message)


def test_metadata_is_the_same_over_both_protocols(server: Server) -> None:
    assert send(server, "GET", "/v2/health/live")[0] == send(server, "GET", "/v2/health/ready")[0] == 200
    assert send(server, "GET", "/v2")[1] == {
        "name": "tzrec",
        "version": tzrec.__version__,
        "extensions": ["binary_tensor_data", "model_configuration", "model_repository", "statistics"],
    }
    metadata = send(server, "GET", "/v2/models/small")[1]
    assert metadata["versions"] == ["1", "2"] and metadata["platform"] == "tzrec_mmoe"
    assert {"name": "user", "datatype": "BYTES", "shape": [-1]} in metadata["inputs"]
    assert {"name": "probs_kind", "datatype": "FP32", "shape": [-1, 3]} in metadata["outputs"]
    answer = call(server, "ModelMetadata", pb.ModelMetadataRequest(name="small"), pb.ModelMetadataResponse)
    assert [(entry.name, list(entry.shape)) for entry in answer.outputs] == [
        (entry["name"], entry["shape"]) for entry in metadata["outputs"]
    ]
    assert call(server, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse).ready
    assert not call(server, "ModelReady", pb.ModelReadyRequest(name="x"), pb.ModelReadyResponse).ready
    metrics = send(server, "GET", "/metrics")[1].decode()
    assert 'tzrec_model_version_ready{model="small",version="2"} 1.0' in metrics


def test_metrics_count_rows_missing_values_and_scores(server: Server) -> None:
    def value(name: str) -> float:
        lines = send(server, "GET", "/metrics")[1].decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), 0.0)

    counted = {
        "rows": 'tzrec_rows_total{model="small"}',
        "missing": 'tzrec_missing_values_total{column="item",model="small"}',
        "scores": 'tzrec_scores_count{model="small",output="probs_ctr"}',
        "sum": 'tzrec_scores_sum{model="small",output="probs_ctr"}',
    }
    before = {key: value(name) for key, name in counted.items()}
    body = {"inputs": [{**ITEM, "shape": [3], "data": [1, None, 3]}]}
    answer = send(server, "POST", "/v2/models/small/infer", body)[1]
    probs = next(output["data"] for output in answer["outputs"] if output["name"] == "probs_ctr")
    added = {key: value(name) - before[key] for key, name in counted.items()}
    assert added == pytest.approx({"rows": 3, "missing": 1, "scores": 3, "sum": sum(probs)})


def test_model_is_unloaded_and_loaded_by_a_client(server: Server) -> None:
    assert send(server, "POST", "/v2/repository/models/small/unload")[0] == 200
    assert send(server, "POST", "/v2/models/small/infer", {"inputs": [ITEM]})[0] == 503
    assert send(server, "POST", "/v2/repository/index")[1] == [
        {"name": "small", "version": version, "state": "UNAVAILABLE", "reason": "unloaded by a client"}
        for version in ("1", "2")
    ]
    assert send(server, "POST", "/v2/repository/models/small/load")[0] == 200
    answer = call(server, "RepositoryIndex", pb.RepositoryIndexRequest(ready=True), pb.RepositoryIndexResponse)
    assert [(model.version, model.state) for model in answer.models] == [("1", "READY"), ("2", "READY")]
    assert send(server, "POST", "/v2/models/small/infer", {"inputs": [ITEM]})[0] == 200


def test_server_on_a_taken_port_or_without_package_raises(server: Server, tmp_path: Path) -> None:
    path = server._config.model_path
    with pytest.raises(UsageError, match=f"port {server.grpc_port} of 127.0.0.1 is taken; choose another --grpc_port"):
        Server(ServeConfig(model_path=path, http_port=0, grpc_port=server.grpc_port)).run()
    with pytest.raises(UsageError, match=f"port {server.http_port} of 127.0.0.1 is taken; choose another --http_port"):
        Server(ServeConfig(model_path=path, http_port=server.http_port, grpc_port=0)).run()
    with pytest.raises(UsageError, match="has no package; give the --export_dir"):
        Server(ServeConfig(model_path=str(tmp_path)))
