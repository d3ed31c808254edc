"""Extensions of the protocol that clients of Triton use: configuration, statistics, streams, compression."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.fixtures.servers import call, send, serving
from tests.fixtures.small_model import OUTPUTS, exported_package
from tzrec.protos.serve_pb2 import RequestLimits
from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.compression import MIN_BYTES, BodyReader, accepted_encoding, pack
from tzrec.server.errors import RequestError
from tzrec.server.run import Server

MODEL = "/v2/models/export"
ITEM = {"name": "item", "shape": [1], "datatype": "INT64", "data": [1]}
BODY = json.dumps({"inputs": [ITEM]}).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(exported_package(), request_limits=RequestLimits(max_body_bytes=100_000)) as server:
        yield server


def test_model_config_is_the_metadata_in_the_words_of_triton(server: Server) -> None:
    status, config, _ = send(server, "GET", f"{MODEL}/config")
    assert status == 200 and config["name"] == "export" and config["max_batch_size"] == 0
    assert {"name": "user", "data_type": "TYPE_STRING", "dims": [-1], "optional": True} in config["input"]
    assert {"name": "probs_kind", "data_type": "TYPE_FP32", "dims": [-1, 3]} in config["output"]
    assert send(server, "GET", f"{MODEL}/versions/1/config")[1] == config
    message = call(server, "ModelConfig", pb.ModelConfigRequest(name="export"), pb.ModelConfigResponse).config
    assert [(entry.name, list(entry.dims)) for entry in message.output] == [
        (entry["name"], entry["dims"]) for entry in config["output"]
    ]
    assert {entry.data_type for entry in message.input} == {pb.TYPE_STRING}
    assert send(server, "GET", "/v2/models/exprot/config")[0] == 404


def test_statistics_count_requests_rows_and_batches(server: Server) -> None:
    def counts() -> dict[str, int]:
        (entry,) = send(server, "GET", f"{MODEL}/stats")[1]["model_stats"]
        assert entry["name"] == "export" and entry["version"] == "1"
        durations = {name: value["count"] for name, value in entry["inference_stats"].items()}
        return {**durations, "rows": entry["inference_count"], "batches": entry["execution_count"]}

    before = counts()
    assert send(server, "POST", f"{MODEL}/infer", {"inputs": [{**ITEM, "shape": [3], "data": [1, 2, 3]}]})[0] == 200
    assert send(server, "POST", f"{MODEL}/rank", {"items": [{"item": 1}, {"item": 2}]})[0] == 200
    assert send(server, "POST", f"{MODEL}/infer", {"inputs": [{**ITEM, "data": [99]}]})[0] == 400
    after = counts()
    added = {name: after[name] - before[name] for name in after}
    assert added == {"success": 2, "fail": 1, "queue": 3, "compute_infer": 2, "rows": 5, "batches": 2}
    message = call(server, "ModelStatistics", pb.ModelStatisticsRequest(), pb.ModelStatisticsResponse)
    (entry,) = message.model_stats
    assert entry.inference_count == after["rows"] and entry.inference_stats.success.ns > 0
    assert entry.last_inference > 1_700_000_000_000
    assert send(server, "GET", "/v2/models/stats")[1]["model_stats"][0]["inference_count"] == after["rows"]
    assert send(server, "GET", "/v2/models/nobody/stats")[0] == 404
    assert send(server, "GET", f"{MODEL}/versions/9/stats")[0] == 404


def test_stream_answers_each_request_and_survives_a_refused_one(server: Server) -> None:
    def requests() -> Iterator[pb.ModelInferRequest]:
        for name, wanted in (("1", "probs_ctr"), ("2", "probs_crt"), ("3", "probs_ctr")):
            request = pb.ModelInferRequest(model_name="export", id=name)
            request.inputs.add(name="item", datatype="INT64", shape=[1], contents={"int64_contents": [1]})
            request.outputs.add(name=wanted)
            yield request

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )
        first, second, third = stub(requests(), timeout=60)
    assert second.error_message.startswith('the model has no output "probs_crt"; did you mean')
    assert [answer.infer_response.id for answer in (first, second, third)] == ["1", "2", "3"]
    assert first.infer_response.raw_output_contents == third.infer_response.raw_output_contents
    expected = send(server, "POST", f"{MODEL}/infer", {"inputs": [ITEM], "outputs": [{"name": "probs_ctr"}]})[1]
    (received,) = first.infer_response.raw_output_contents
    np.testing.assert_allclose(np.frombuffer(received, np.float32), expected["outputs"][0]["data"], atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": [{**ITEM, "parameters": {"shared_memory_region": "a", "shared_memory_byte_size": 8}}]},
            'input "item" is in shared memory, which this server does not read',
        ),
        (
            {"outputs": [{"name": "probs_ctr", "parameters": {"shared_memory_region": "a"}}]},
            'output "probs_ctr" is in shared memory',
        ),
        (
            {"outputs": [{"name": "probs_ctr", "parameters": {"classification": 3}}]},
            'output "probs_ctr" asks for a classification; leave it out and sort the scores',
        ),
    ],
)
def test_extension_that_the_server_lacks_is_refused(server: Server, change: dict[str, Any], message: str) -> None:
    status, answer, _ = send(server, "POST", f"{MODEL}/infer", {"inputs": [ITEM], **change})
    assert status == 400 and answer["error"].startswith(message)


def test_shared_memory_over_grpc_is_refused(server: Server) -> None:
    request = pb.ModelInferRequest(model_name="export")
    request.inputs.add(name="item", datatype="INT64", shape=[1]).parameters["shared_memory_region"].string_param = "a"
    with pytest.raises(grpc.RpcError, match='input "item" is in shared memory') as raised:
        call(server, "ModelInfer", request, pb.ModelInferResponse)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/nothing", 404), ("GET", "/v2/systemsharedmemory/status", 404), ("DELETE", "/v2", 405)],
)
def test_request_for_a_path_or_method_that_is_not_there_gets_a_reason(
    server: Server, method: str, path: str, status: int
) -> None:
    received, answer, _ = send(server, method, path)
    assert received == status and answer["error"].startswith(f"{method} {path} is not one of the requests")


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_request_is_answered_as_a_plain_one(server: Server, encoding: str, compress: Any) -> None:
    plain = send(server, "POST", f"{MODEL}/infer", BODY)
    assert send(server, "POST", f"{MODEL}/infer", compress(BODY), Content_Encoding=encoding)[:2] == plain[:2]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "message"),
    [
        (BODY, "gzip", 400, "the body is not in gzip"),
        (gzip.compress(BODY)[:-4], "gzip", 400, "the gzip of the body ends too early"),
        (gzip.compress(BODY) + b"more", "gzip", 400, "the gzip of the body is followed by other bytes"),
        (gzip.compress(BODY), "br", 415, "Content-Encoding is 'br', not gzip, deflate or identity"),
        (gzip.compress(bytes(1_000_000)), "gzip", 413, "the body has more than 100000 bytes"),
    ],
    ids=["not compressed", "cut off", "followed by more", "unknown encoding", "too long"],  # a body has the time in it
)
def test_compressed_request_with_a_mistake_is_refused(
    server: Server, body: bytes, encoding: str, status: int, message: str
) -> None:
    received, answer, _ = send(server, "POST", f"{MODEL}/infer", body, Content_Encoding=encoding)
    assert received == status and answer["error"].startswith(message)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_long_response_is_compressed_where_the_client_accepts_it(server: Server, encoding: str) -> None:
    body = {"inputs": [{**ITEM, "shape": [2000], "data": [number % 40 for number in range(2000)]}]}
    _, plain, headers = send(server, "POST", f"{MODEL}/infer", body)
    assert "content-encoding" not in headers and [entry["name"] for entry in plain["outputs"]] == OUTPUTS
    status, packed, headers = send(server, "POST", f"{MODEL}/infer", body, Accept_Encoding=f"br, {encoding};q=0.5")
    assert status == 200 and headers["content-encoding"] == encoding and headers["vary"] == "Accept-Encoding"
    assert packed == plain
    short = send(server, "POST", f"{MODEL}/infer", BODY, Accept_Encoding=encoding)[2]
    assert "content-encoding" not in short


def test_body_reader_never_holds_more_than_its_limit() -> None:
    reader = BodyReader("gzip", 1000)
    with pytest.raises(RequestError, match="more than 1000 bytes"):
        reader.add(gzip.compress(bytes(50_000_000)))
    assert sum(map(len, reader._chunks)) == 0


@pytest.mark.parametrize(
    ("header", "encoding"),
    [("", ""), ("br", ""), ("gzip, deflate", "gzip"), ("deflate", "deflate"), ("gzip;q=0, deflate", "deflate")],
)
def test_accepted_encoding_is_the_first_that_the_client_takes(header: str, encoding: str) -> None:
    assert accepted_encoding(header) == encoding


def test_pack_of_zeros_is_short() -> None:
    assert len(pack(bytes(MIN_BYTES), "gzip")) < 200
