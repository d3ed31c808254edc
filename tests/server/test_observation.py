"""Records of requests: logs, statistics of features and scores, and a replay of the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

import tzrec
from tests.fixtures.servers import serving
from tests.fixtures.small_model import exported_package, small_rows
from tests.server.test_server import flat_rows, tensors
from tzrec.protos.observation_pb2 import LOG_JSON
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.run.replay import replay
from tzrec.server.rest import ARROW
from tzrec.server.run import Server
from tzrec.serving.request_log import log_files, read_requests

TOKEN = "secret-token"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("observed")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    """A server that has answered requests of each kind."""
    (root / "models").mkdir()
    (root / "models" / "small").symlink_to(exported_package())
    with serving(
        root / "models",
        access_log={"format": LOG_JSON, "path": str(root / "access.log")},
        request_log={"directory": str(root / "requests")},
        feature_statistics={"max_cpu_share": 1.0, "min_requests": 5},
        slow_request_ms=0.001,
    ) as server:
        send_requests(server)
        yield server


def send_requests(server: Server) -> None:
    url, headers = f"http://127.0.0.1:{server.http_port}/v2/models/small", {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(headers=headers, timeout=60) as client:
        for number in range(8):
            body = {"id": f"r{number}", "inputs": tensors(flat_rows(20 + number))}
            assert client.post(f"{url}/infer?token={TOKEN}", json=body).status_code == 200
        items = [{"item": item, "price": 0.5} for item in range(30)]
        assert client.post(f"{url}/rank", json={"user": {"user": "u1"}, "items": items}).status_code == 200
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, small_rows(9).schema) as writer:
            writer.write_table(small_rows(9))
        content = stream.getvalue().to_pybytes()
        assert client.post(f"{url}/infer", content=content, headers={"Content-Type": ARROW}).status_code == 200
        assert client.post(f"{url}/infer", json={"inputs": 3}).status_code == 400
        assert client.get(f"http://127.0.0.1:{server.http_port}/nothing").status_code == 404
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        request = pb.ModelInferRequest(model_name="small", id="g")
        entry = request.inputs.add(name="price", datatype="FP64", shape=[3])
        entry.contents.fp64_contents.extend([0.1, 0.2, 0.3])
        infer(request, timeout=60, metadata=[("authorization", f"Bearer {TOKEN}")])


def samples(server: Server) -> dict[tuple[str, ...], float]:
    """Values of the metrics by name and labels."""
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", timeout=60).text
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def wait_for(server: Server, name: tuple[str, ...], value: float) -> dict[tuple[str, ...], float]:
    deadline = time.monotonic() + 60
    while samples(server).get(name, 0) < value:
        assert time.monotonic() < deadline, name
        time.sleep(0.1)
    return samples(server)


def test_requests_are_logged_and_replayed_without_a_difference(server: Server, root: Path) -> None:
    wait_for(server, ("tzrec_logged_requests_total", "written"), 11)
    requests = list(read_requests(log_files(root / "requests")))
    assert sorted(request.id for request in requests) == sorted([*(f"r{number}" for number in range(8)), "", "", "g"])
    assert {(request.model, request.version) for request in requests} == {("small", "1")}
    (ranked,) = [request for request in requests if request.user is not None]
    assert ranked.rows.num_rows == 30 and ranked.user is not None and ranked.user["user"].to_pylist() == ["u1"]
    (arrow,) = [request for request in requests if request.rows.num_rows == 9]
    assert arrow.rows.equals(small_rows(9).select(arrow.rows.column_names))
    result = replay(requests, tzrec.load(exported_package()))
    assert result.num_requests == 11 and not result.refused
    assert result.max_difference <= 1e-6 and result.outputs["probs_ctr"].num_reordered == 0


def test_no_log_has_a_token(server: Server, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    wait_for(server, ("tzrec_logged_requests_total", "written"), 11)
    for path in [root / "access.log", *log_files(root / "requests")]:
        assert TOKEN.encode() not in path.read_bytes()  # type: ignore[union-attr]
    rows = [request.rows for request in read_requests(log_files(root / "requests"))]
    assert TOKEN not in str([table.to_pydict() for table in rows])


def test_access_log_has_a_line_for_each_request(server: Server, root: Path) -> None:
    deadline = time.monotonic() + 30
    while len((root / "access.log").read_text().splitlines()) < 13 and time.monotonic() < deadline:
        time.sleep(0.1)
    entries = [json.loads(line) for line in (root / "access.log").read_text().splitlines()]
    calls = [entry for entry in entries if entry["call"] != "GET /metrics"]
    assert [entry["status"] for entry in calls] == [200] * 10 + [400, 404, 200]
    assert calls[0]["id"] == "r0" and calls[0]["rows"] == 20 and calls[0]["model"] == "small/1"
    assert calls[8]["call"] == "POST /v2/models/small/rank" and calls[8]["rows"] == 30
    assert calls[12]["protocol"] == "grpc" and calls[12]["call"] == "model_infer" and calls[12]["id"] == "g"
    assert all(entry["bytes"] > 0 and entry["ms"] > 0 for entry in calls)


def test_metrics_have_statistics_of_features_and_scores(server: Server) -> None:
    values = wait_for(server, ("tzrec_observed_requests_total", "small"), 2)
    assert values["tzrec_feature_missing_rows_total", "tags", "small"] > 0
    assert values["tzrec_feature_rows_total", "item", "small"] >= 40
    for stage in ("parse", "queue", "encode", "forward", "score", "write", "request"):
        assert values["tzrec_stage_seconds_count", stage] > 0, stage
    assert 0 < values["tzrec_score_mean", "small", "probs_ctr"] < 1
    names = [("tzrec_score_quantile", "small", "probs_ctr", str(share)) for share in (0.05, 0.5, 0.95)]
    assert 0 < values[names[0]] <= values[names[1]] <= values[names[2]] < 1
    deadline = time.monotonic() + 60
    while ("tzrec_feature_drift", "price", "small", "1") not in values and time.monotonic() < deadline:
        send_requests(server)
        values = samples(server)
    # price is one number in most of the requests: the lists of the training are missing in all of them
    assert values["tzrec_feature_drift", "tags", "small", "1"] > 0.25
