"""Calls of somebody else's client: tritonclient over HTTP and gRPC, and what a client notices of the answers.

    python -m tests.conformance.calls --http 127.0.0.1:8000 --grpc 127.0.0.1:8001

Needs `tritonclient[all]` and nothing of tzrec: protobuf 6, which it requires, excludes the protobuf of tzrec. It prints
one JSON object: what was observed by name of the check, or the error of a check that failed.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import queue
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.conformance.typed_model import DATATYPES, MODEL, NUMBERS, OUTPUTS

NUM_ROWS = 3
_NAMES = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "object"}
Call = Callable[["Side"], object]


class Side:
    """One protocol of one server.

    Args:
        protocol: `tritonclient.http` or `tritonclient.grpc`.
        address: `host:port`.
    """

    def __init__(self, protocol: ModuleType, address: str) -> None:
        self.protocol, self.address = protocol, address
        self.is_http = protocol is tritonclient.http
        self.client = protocol.InferenceServerClient(address)

    def metadata(self, answer: Any) -> dict[str, Any]:
        """Return an answer as a dict; that of gRPC is a message."""
        if self.is_http:
            return dict(answer)
        from google.protobuf.json_format import MessageToDict

        return dict(MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))

    def input(self, datatype: str, num_rows: int = NUM_ROWS, is_binary: bool = True) -> Any:
        """Build the input of a datatype."""
        tensor = self.protocol.InferInput(datatype.lower(), [num_rows], datatype)
        if self.is_http:
            tensor.set_data_from_numpy(values(datatype, num_rows), binary_data=is_binary)
        else:
            tensor.set_data_from_numpy(values(datatype, num_rows))
        return tensor

    def output(self, name: str, is_binary: bool = True) -> Any:
        """Request an output."""
        kind = self.protocol.InferRequestedOutput
        return kind(name, binary_data=is_binary) if self.is_http else kind(name)

    def infer(self, inputs: list[Any], **options: Any) -> Any:
        """Send a request."""
        return self.client.infer(options.pop("model_name", MODEL), inputs, **options)

    def scores(self, inputs: list[Any], **options: Any) -> np.ndarray:
        """Send a request; returns the output probs_ctr, after a check of its form."""
        scores = self.infer(inputs, **options).as_numpy("probs_ctr")
        assert scores.dtype == np.float32 and scores.shape == (NUM_ROWS,), (scores.dtype, scores.shape)
        assert ((scores > 0) & (scores < 1)).all(), scores
        return scores


def values(datatype: str, num_rows: int) -> np.ndarray:
    """Make values of a datatype."""
    if datatype == "BYTES":
        return np.array([text.encode() for text in ("u1", "ä漢字😀", "u 3")[:num_rows]], object)
    return (np.arange(num_rows) % 2).astype(_NAMES.get(datatype, datatype.lower()))


def refusal(call: Callable[[], object]) -> str:
    """Return the status with which a call is refused, after a check that there is a reason."""
    try:
        call()
    except InferenceServerException as error:
        status, message = str(error.status()).removeprefix("StatusCode."), error.message()
    else:
        raise AssertionError("it was not refused")
    assert message and "while decoding the response" not in message, message
    return status


def health(side: Side) -> object:
    """Live, ready, and models that are and are not."""
    client = side.client
    return [
        *(client.is_server_live(), client.is_server_ready(), client.is_model_ready(MODEL)),
        *(client.is_model_ready(MODEL, "1"), client.is_model_ready("nobody"), client.is_model_ready(MODEL, "99")),
    ]


def server_metadata(side: Side) -> object:
    """Name, version and the extensions that a client of tensors needs."""
    answer = side.metadata(side.client.get_server_metadata())
    assert answer["name"] and answer["version"]
    wanted = {"binary_tensor_data", "model_repository", "model_configuration", "statistics"}
    return sorted(wanted & set(answer["extensions"]))


def model_metadata(side: Side) -> object:
    """Inputs, outputs and versions."""
    answer = side.metadata(side.client.get_model_metadata(MODEL))
    assert answer["platform"]
    again = side.metadata(side.client.get_model_metadata(MODEL, "1"))
    assert again["versions"] == answer["versions"]
    outputs = [
        (entry["name"], entry["datatype"], [int(size) for size in entry["shape"]]) for entry in answer["outputs"]
    ]
    return [answer["name"], answer["versions"], sorted(entry["name"] for entry in answer["inputs"]), sorted(outputs)]


def model_config(side: Side) -> object:
    """The fields of the configuration that clients read."""
    answer = side.metadata(side.client.get_model_config(MODEL))
    config = answer if side.is_http else answer["config"]
    outputs = sorted((entry["name"], entry["data_type"], [int(n) for n in entry["dims"]]) for entry in config["output"])
    inputs = sorted(entry["name"] for entry in config["input"])
    assert config["backend"] or config["platform"]
    return [config["name"], config["max_batch_size"], inputs, outputs]


def statistics(side: Side) -> object:
    """Counts of requests that succeeded and failed."""

    def counts() -> dict[str, int]:
        answer = side.metadata(side.client.get_inference_statistics(MODEL, "1"))
        (entry,) = answer["model_stats"]
        assert (entry["name"], entry["version"]) == (MODEL, "1") and int(entry["last_inference"]) >= 0
        durations = {name: entry["inference_stats"][name] for name in ("success", "fail", "queue", "compute_infer")}
        found = {name: int(value.get("count", 0)) for name, value in durations.items()}
        found["nanoseconds"] = int(durations["success"].get("ns", 0))
        return {**found, "inferences": int(entry["inference_count"]), "executions": int(entry["execution_count"])}

    before = counts()
    for _ in range(2):
        side.infer([side.input("FP32", 1)])
    end = time.monotonic() + 5  # Triton counts a request after its answer
    while (after := counts())["success"] < before["success"] + 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert after.pop("nanoseconds") > before.pop("nanoseconds")
    side.client.get_inference_statistics()  # of all models
    return {name: after[name] - before[name] for name in after}


def repository_index(side: Side) -> object:
    """The models and their states."""
    answer = side.client.get_model_repository_index()
    entries = answer if side.is_http else side.metadata(answer)["models"]
    return [(entry["name"], entry["version"], entry["state"]) for entry in entries]


def unload_and_load(side: Side) -> object:
    """A model that is unloaded is refused, and answers again when it is loaded."""
    side.client.unload_model(MODEL)
    end = time.monotonic() + 30
    while "UNLOADING" in str(states := repository_index(side)) and time.monotonic() < end:
        time.sleep(0.05)
    assert refusal(lambda: side.infer([side.input("FP32")]))
    side.client.load_model(MODEL)
    return [states, side.client.is_model_ready(MODEL), side.scores([side.input("FP32")]).shape]


def datatypes(side: Side) -> object:
    """Each datatype by itself, in binary form."""
    for datatype in DATATYPES:
        side.scores([side.input(datatype)])
    return list(DATATYPES)


def datatypes_together(side: Side) -> object:
    """All datatypes in one request."""
    return side.scores([side.input(datatype) for datatype in DATATYPES]).shape


def json_equals_binary(side: Side) -> object:
    """JSON and binary form of inputs and outputs, in all four pairs, give the same scores."""
    equal = []
    for datatype in (*NUMBERS, "BYTES"):
        if datatype == "FP16":  # has no form in JSON
            continue
        scores = [
            side.scores([side.input(datatype, is_binary=first)], outputs=[side.output("probs_ctr", second)])
            for first in (True, False)
            for second in (True, False)
        ]
        assert all(np.allclose(scores[0], other, atol=1e-7) for other in scores), scores
        equal.append(datatype)
    return equal


def mixed_forms(side: Side) -> object:
    """Inputs in JSON beside binary ones."""
    inputs = [side.input("FP64", is_binary=False), side.input("BYTES"), side.input("INT64", is_binary=False)]
    binary = [side.input("FP64"), side.input("BYTES", is_binary=False), side.input("INT64")]
    np.testing.assert_allclose(side.scores(inputs), side.scores(binary), atol=1e-7)
    return "equal"


def repeated_requests(side: Side) -> object:
    """The same request over one connection gives the same scores."""
    scores = [side.scores([side.input("BYTES"), side.input("FP32")]) for _ in range(20)]
    assert all((other == scores[0]).all() for other in scores)
    return "equal"


def selected_outputs(side: Side) -> object:
    """Only the outputs that are asked for, in any order; all by default."""
    names = []
    for wanted in (["probs_ctr"], ["logits_ctr"], ["probs_ctr", "logits_ctr"], None):
        outputs = wanted and [side.output(name) for name in wanted]
        answer = side.metadata(side.infer([side.input("FP32")], outputs=outputs).get_response())
        found = sorted(entry["name"] for entry in answer["outputs"])
        assert found == sorted(wanted or OUTPUTS), found
        names.append(found)
    return names


def request_id(side: Side) -> object:
    """The id of a request comes back, and no other."""
    ids = [
        side.metadata(side.infer([side.input("FP32")], request_id=text).get_response()).get("id", "")
        for text in ("a-1", "", "ä")
    ]
    return ids


def versions(side: Side) -> object:
    """The version that answered is named."""
    answers = [side.infer([side.input("FP32")], model_version=version) for version in ("", "1")]
    found = [side.metadata(answer.get_response()) for answer in answers]
    return [(answer["model_name"], answer["model_version"]) for answer in found]


def parameters(side: Side) -> object:
    """Parameters that a model does not read are no error."""
    options = {"parameters": {"trace": "x", "top_k": 5, "is_test": True}, "timeout": 10_000_000}
    return side.scores([side.input("FP32")], **options).shape


def compression(side: Side) -> object:
    """Bodies in gzip and deflate."""
    done = []
    plain = side.scores([side.input("BYTES")])
    for name in ("gzip", "deflate"):
        options = {"compression_algorithm": name}
        if side.is_http:
            options = {"request_compression_algorithm": name, "response_compression_algorithm": name}
        assert (side.scores([side.input("BYTES")], **options) == plain).all()
        done.append(name)
    return done


def wrong_requests(side: Side) -> object:
    """Requests with a mistake are refused, each with a reason."""
    cases = {
        "unknown model": lambda: side.infer([side.input("FP32")], model_name="nobody"),
        "unknown version": lambda: side.infer([side.input("FP32")], model_version="99"),
        "unknown output": lambda: side.infer([side.input("FP32")], outputs=[side.output("nothing")]),
        "metadata of an unknown model": lambda: side.client.get_model_metadata("nobody"),
        "config of an unknown model": lambda: side.client.get_model_config("nobody"),
    }
    refused = [  # Triton gives 400 and 500
        refusal(lambda: side.client.get_inference_statistics("nobody")),
        refusal(lambda: side.client.load_model("nobody")),
    ]
    return [{name: refusal(call) for name, call in cases.items()}, len(refused)]


def shared_memory(side: Side) -> object:
    """Regions that do not exist are refused; there are none."""
    tensor = side.protocol.InferInput("fp32", [NUM_ROWS], "FP32")
    tensor.set_shared_memory("nowhere", 12)
    output = side.protocol.InferRequestedOutput("probs_ctr")
    output.set_shared_memory("nowhere", 12)
    calls: tuple[Callable[[], object], ...] = (
        lambda: side.infer([tensor]),
        lambda: side.infer([side.input("FP32")], outputs=[output]),
        lambda: side.client.register_system_shared_memory("a", "/no such key", 12),
        lambda: side.client.register_cuda_shared_memory("a", b"AAAA", 0, 12),
    )
    return ["refused" for call in calls if refusal(call)]


def extensions(side: Side) -> object:
    """An extension that the server announces answers; one that it does not announce is refused."""
    client = side.client
    calls: dict[str, Callable[[], object]] = {
        "statistics": client.get_inference_statistics,
        "model_configuration": lambda: client.get_model_config(MODEL),
        "model_repository": client.get_model_repository_index,
        "trace": client.get_trace_settings,
        "logging": client.get_log_settings,
        "classification": lambda: side.infer(
            [side.input("FP32")], outputs=[side.protocol.InferRequestedOutput("probs_ctr", class_count=1)]
        ),
        "system_shared_memory": client.get_system_shared_memory_status,
        "cuda_shared_memory": client.get_cuda_shared_memory_status,
    }
    announced = side.metadata(client.get_server_metadata())["extensions"]
    for name, call in calls.items():
        if any(name.startswith(word) or word.startswith(name) for word in announced):
            call()
        else:
            assert refusal(call), name
    return "announced = answered"


def asynchronous(side: Side) -> object:
    """Requests that wait for each other's answers nowhere."""
    inputs = [side.input("FP32"), side.input("BYTES")]
    expected = side.scores(inputs)
    if side.is_http:
        client = side.protocol.InferenceServerClient(side.address, concurrency=4)
        waiting = [client.async_infer(MODEL, inputs) for _ in range(20)]
        answers = [entry.get_result() for entry in waiting]
    else:
        received: queue.Queue[Any] = queue.Queue()
        for _ in range(20):
            side.client.async_infer(MODEL, inputs, lambda result, error: received.put(error or result))
        answers = [received.get(timeout=30) for _ in range(20)]
    assert all((answer.as_numpy("probs_ctr") == expected).all() for answer in answers)
    return len(answers)


def streamed(side: Side) -> object:
    """A stream of requests over gRPC: an answer for each, an error among them ends nothing."""
    received: queue.Queue[Any] = queue.Queue()
    side.client.start_stream(lambda result, error: received.put((result, error)))
    ids = ["1", "2", "wrong", "3"]
    for text in ids:
        outputs = [side.output("nothing" if text == "wrong" else "probs_ctr")]
        side.client.async_stream_infer(MODEL, [side.input("FP32")], request_id=text, outputs=outputs)
    pairs = [received.get(timeout=30) for _ in ids]
    side.client.stop_stream()
    good = [result for result, error in pairs if error is None]
    assert all(result.as_numpy("probs_ctr").shape == (NUM_ROWS,) for result in good)
    return [sorted(result.get_response().id for result in good), len(pairs) - len(good)]


def typed_contents(side: Side) -> object:
    """Elements in the field of their datatype instead of as raw bytes."""
    fields = {"BOOL": "bool", "INT64": "int64", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}
    equal = []
    for datatype in (name for name in DATATYPES if name != "FP16"):
        message = grpc_request(datatype)
        field = fields.get(datatype, "uint" if datatype.startswith("UINT") else "int")
        getattr(message.inputs[0].contents, f"{field}_contents").extend(values(datatype, NUM_ROWS).tolist())
        (answer,) = grpc_stub(side).ModelInfer(message, timeout=30).raw_output_contents
        np.testing.assert_allclose(np.frombuffer(answer, np.float32), side.scores([side.input(datatype)]), atol=1e-7)
        equal.append(datatype)
    return equal


def wrong_messages(side: Side) -> object:
    """Messages that tritonclient does not build."""
    raw = np.zeros(NUM_ROWS, np.float32).tobytes()
    cases: dict[str, tuple[dict[str, Any], bytes]] = {
        "right": ({}, raw),
        "too few bytes": ({}, raw[:-2]),
        "too many bytes": ({}, raw + raw),
        "negative shape": ({"shape": [-NUM_ROWS]}, raw),
        "unknown datatype": ({"datatype": "FP8"}, raw),
        "text cut off": ({"name": "bytes", "datatype": "BYTES"}, b"\x02\0\0\0ab\x02\0\0\0ab\x02\0\0\0a"),
    }
    codes = {}
    for name, (changes, content) in cases.items():
        message = grpc_request("FP32")
        message.raw_input_contents.append(content)
        for field, value in changes.items():
            if field == "shape":
                message.inputs[0].shape[:] = value
            else:
                setattr(message.inputs[0], field, value)
        codes[name] = outcome(lambda message=message: grpc_stub(side).ModelInfer(message, timeout=30))
    codes["no inputs"] = outcome(lambda: grpc_stub(side).ModelInfer(service_pb2.ModelInferRequest(model_name=MODEL)))
    return codes


def grpc_request(datatype: str) -> Any:
    """Begin a request with an input without data."""
    message = service_pb2.ModelInferRequest(model_name=MODEL)
    message.inputs.add(name=datatype.lower(), datatype=datatype, shape=[NUM_ROWS])
    message.outputs.add(name="probs_ctr")
    return message


def grpc_stub(side: Side) -> Any:
    """Open the service of a server."""
    return service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(side.address))


def outcome(call: Callable[[], object]) -> str:
    """Return that a call is answered, or refused with a reason."""
    try:
        call()
    except grpc.RpcError as error:
        details, code = error.details(), error.code()
    else:
        return "answered"
    assert details and code is not grpc.StatusCode.UNIMPLEMENTED, (code, details)
    return "refused"


def wrong_bodies(side: Side) -> object:
    """Bodies that tritonclient does not send."""
    entry = {"name": "fp32", "shape": [NUM_ROWS], "datatype": "FP32", "data": [0.5] * NUM_ROWS}
    cases: dict[str, Any] = {
        "right": {"inputs": [entry]},
        "nested data": {"inputs": [{**entry, "data": [[0.5], [0.5], [0.5]]}]},
        "no JSON": b"{",
        "a list": [],
        "no inputs": {},
        "inputs is empty": {"inputs": []},
        "input is a number": {"inputs": [1]},
        "no name": {"inputs": [{key: value for key, value in entry.items() if key != "name"}]},
        "no datatype": {"inputs": [{key: value for key, value in entry.items() if key != "datatype"}]},
        "unknown datatype": {"inputs": [{**entry, "datatype": "FP8"}]},
        "no shape": {"inputs": [{key: value for key, value in entry.items() if key != "shape"}]},
        "shape is text": {"inputs": [{**entry, "shape": "3"}]},
        "negative shape": {"inputs": [{**entry, "shape": [-3]}]},
        "no data": {"inputs": [{key: value for key, value in entry.items() if key != "data"}]},
        "too few values": {"inputs": [{**entry, "data": [0.5]}]},
        "too many values": {"inputs": [{**entry, "data": [0.5] * 4}]},
        "text for a number": {"inputs": [{**entry, "data": ["x", "y", "z"]}]},
        "outputs is text": {"inputs": [entry], "outputs": "probs_ctr"},
        "output without a name": {"inputs": [entry], "outputs": [{}]},
        "more bytes than sent": {"inputs": [{**entry, "parameters": {"binary_data_size": 12}}]},
    }
    statuses = {name: send(side, f"/v2/models/{MODEL}/infer", body) for name, body in cases.items()}
    right = json.dumps(cases["right"]).encode()
    for name, length in (("length is text", "x"), ("length is too great", "9999"), ("length is negative", "-1")):
        headers = {"Inference-Header-Content-Length": length}
        statuses[name] = send(side, f"/v2/models/{MODEL}/infer", right, headers)
    statuses["no gzip"] = send(side, f"/v2/models/{MODEL}/infer", right, {"Content-Encoding": "gzip"})
    packed = {"Content-Encoding": "gzip"}
    statuses["gzip"] = send(side, f"/v2/models/{MODEL}/infer", gzip.compress(right), packed)
    statuses["unknown path"] = send(side, "/v2/nothing", b"{}")
    return statuses


def send(side: Side, path: str, body: Any, headers: dict[str, str] | None = None) -> str:
    """Post a body; returns that it is answered, or refused with a reason."""
    connection = http.client.HTTPConnection(side.address, timeout=30)
    connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), headers or {})
    response = connection.getresponse()
    content = response.read()
    if response.status >= 400 and path != "/v2/nothing":
        assert json.loads(content)["error"], content
    connection.close()
    return "answered" if response.status < 400 else "refused"  # Triton gives 500 for many of them


def kept_connection(side: Side) -> object:
    """Requests, good and bad, over one connection."""
    connection = http.client.HTTPConnection(side.address, timeout=30)
    sockets, statuses = set(), []
    for path in ("/v2/health/live", f"/v2/models/{MODEL}", "/v2/models/nobody", f"/v2/models/{MODEL}"):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status // 100)
        sockets.add(id(connection.sock))
    connection.close()
    return [statuses, len(sockets)]


BOTH: tuple[Call, ...] = (
    *(health, server_metadata, model_metadata, model_config, statistics, repository_index),
    *(datatypes, datatypes_together, repeated_requests, selected_outputs, request_id, versions, parameters),
    *(compression, asynchronous, wrong_requests, shared_memory, extensions, unload_and_load),
)
HTTP_ONLY: tuple[Call, ...] = (json_equals_binary, mixed_forms, wrong_bodies, kept_connection)
GRPC_ONLY: tuple[Call, ...] = (typed_contents, streamed, wrong_messages)


def observe(http_address: str, grpc_address: str) -> dict[str, dict[str, object]]:
    """Make all calls; returns by name of the check what was observed, or the error."""
    observed: dict[str, dict[str, object]] = {}
    for name, protocol, address, calls in (
        ("http", tritonclient.http, http_address, (*BOTH, *HTTP_ONLY)),
        ("grpc", tritonclient.grpc, grpc_address, (*BOTH, *GRPC_ONLY)),
    ):
        for call in calls:
            side = Side(protocol, address)
            try:
                observed[f"{name} {call.__name__}"] = {"observed": call(side)}
            except Exception as error:  # of any client library
                observed[f"{name} {call.__name__}"] = {"error": f"{type(error).__name__}: {error}"}
            side.client.close()
    return observed


def main() -> None:
    """Print the observations."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", required=True, metavar="HOST:PORT")
    parser.add_argument("--grpc", required=True, metavar="HOST:PORT")
    arguments = parser.parse_args()
    json.dump(observe(arguments.http, arguments.grpc), sys.stdout, default=str)


if __name__ == "__main__":
    main()
