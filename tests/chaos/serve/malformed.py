"""Requests that no server may answer with scores or with a status of 5xx, for the package of `small_model`.

A request is made by a function of a random generator, so that a run can be repeated with its seed:

    @malformed(400)
    def json_cut_off(rng: Random) -> HttpRequest: ...
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa

from tzrec.protos.serving import inference_pb2 as pb
from tzrec.server.arrow_body import ARROW
from tzrec.server.infer_json import HEADER_LENGTH

MODEL = "small"
INFER, RANK = f"/v2/models/{MODEL}/infer", f"/v2/models/{MODEL}/rank"
ITEM = {"name": "item", "shape": [1], "datatype": "INT64", "data": [1]}


@dataclass(frozen=True)
class HttpRequest:
    """A request over HTTP.

    Attributes:
        body: of the request.
        path: of the request.
        headers: of the request.
        method: of the request.
    """

    body: bytes
    path: str = INFER
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True)
class Malformed:
    """A kind of malformed requests.

    Attributes:
        name: of the kind.
        statuses: that a server may answer with.
        make: makes one.
    """

    name: str
    statuses: tuple[int, ...]
    make: Callable[[Random], HttpRequest]


HTTP: list[Malformed] = []
"""Kinds of malformed requests over HTTP."""

GRPC: list[Callable[[Random], bytes]] = []
"""Kinds of malformed messages for ModelInfer: each is refused with a status of the client's fault."""


def malformed(*statuses: int) -> Callable[[Callable[[Random], HttpRequest]], Callable[[Random], HttpRequest]]:
    """Declare a function as a maker of malformed requests, which are answered with one of these statuses."""

    def declare(make: Callable[[Random], HttpRequest]) -> Callable[[Random], HttpRequest]:
        HTTP.append(Malformed(make.__name__, statuses, make))
        return make

    return declare


def malformed_call(make: Callable[[Random], bytes]) -> Callable[[Random], bytes]:
    """Declare a function as a maker of malformed messages."""
    GRPC.append(make)
    return make


def _json(value: Any, path: str = INFER, **headers: str) -> HttpRequest:
    return HttpRequest(json.dumps(value).encode(), path, headers)


def _infer(**changes: Any) -> HttpRequest:
    return _json({"inputs": [ITEM | changes]})


def _binary(shape: list[int], datatype: str, data: bytes, size: int | None = None) -> HttpRequest:
    size = len(data) if size is None else size
    entry = {"name": "item", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    text = json.dumps({"inputs": [entry]}).encode()
    return HttpRequest(text + data, headers={HEADER_LENGTH: str(len(text))})


def _junk(rng: Random) -> Any:
    """A value that is none of those that a request has at that place."""
    return rng.choice([None, True, -1, 1.5, "x", "", [], [[]], {}, {"a": 1}, [None], 1 << 60, -(1 << 63), "\0"])


def _valid_text() -> bytes:
    return json.dumps({"inputs": [ITEM, {"name": "price", "shape": [1], "datatype": "FP32", "data": [0.5]}]}).encode()


@malformed(400)
def json_cut_off(rng: Random) -> HttpRequest:
    text = _valid_text()
    return HttpRequest(text[: rng.randrange(len(text))], rng.choice([INFER, RANK]))


@malformed(400)
def bytes_at_random(rng: Random) -> HttpRequest:
    return HttpRequest(rng.randbytes(rng.randrange(1, 3000)), rng.choice([INFER, RANK]))


@malformed(200, 400)
def json_with_changed_bytes(rng: Random) -> HttpRequest:
    text = bytearray(_valid_text())
    for _ in range(rng.randrange(1, 5)):
        text[rng.randrange(len(text))] = rng.randrange(256)
    return HttpRequest(bytes(text))


@malformed(400)
def json_nested_deeply(rng: Random) -> HttpRequest:
    depth = rng.choice([3, 60, 900, 100_000])
    text = rng.choice(
        [
            '{"inputs": [{"name": "item", "shape": [1], "datatype": "INT64", "data": [%s]}]}',
            '{"items": [{"scores": %s}]}',
        ]
    )
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    inner = (opening * depth + "1" + closing * depth) if rng.random() < 0.5 else opening * depth
    return HttpRequest((text % inner).encode(), RANK if "items" in text else INFER)


@malformed(400)
def invalid_utf8(rng: Random) -> HttpRequest:
    word = rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"])
    text = b'{"inputs": [{"name": "user", "shape": [1], "datatype": "BYTES", "data": ["' + word + b'"]}]}'
    if rng.random() < 0.5:
        return HttpRequest(text)
    return _binary([1], "BYTES", struct.pack("<I", len(word)) + word)


@malformed(400)
def lone_surrogate(rng: Random) -> HttpRequest:
    return HttpRequest(b'{"inputs": [{"name": "user", "shape": [1], "datatype": "BYTES", "data": ["\\ud800"]}]}')


@malformed(400)
def field_of_wrong_type(rng: Random) -> HttpRequest:
    name = rng.choice(["name", "shape", "datatype"])
    return _infer(**{name: _junk(rng)})


@malformed(400)
def data_of_wrong_type(rng: Random) -> HttpRequest:
    return _infer(data=rng.choice([["x"], [1.5], [True], [[1], 2], {"a": 1}, 7, "x", None, [{}], [[[1]]], [1 << 63]]))


@malformed(400)
def shape_without_its_values(rng: Random) -> HttpRequest:
    shape = rng.choice([[2], [-1], [1, 2], [1, 1, 1], [], [1 << 31], [(1 << 31) - 1, (1 << 31) - 1], [1.0], ["1"], 1])
    return _infer(shape=shape)


@malformed(400)
def rows_without_values(rng: Random) -> HttpRequest:
    return _infer(shape=[rng.choice([0, 1, 1000, (1 << 31) - 1]), 0], data=[])


@malformed(400)
def body_of_another_structure(rng: Random) -> HttpRequest:
    value = rng.choice(
        [_junk(rng), {"inputs": _junk(rng)}, {"inputs": [_junk(rng)]}, {"inputs": []}, {"input": [ITEM]}, [ITEM]]
    )
    return _json(value)


@malformed(400)
def outputs_of_another_structure(rng: Random) -> HttpRequest:
    outputs = rng.choice([[5], ["probs_ctr"], {"name": 1}, [{"name": 1}], [{"name": "nothing"}], 5, True])
    return _json({"inputs": [ITEM], "outputs": outputs})


@malformed(400)
def parameters_of_wrong_type(rng: Random) -> HttpRequest:
    parameters = rng.choice([5, "x", [1], {"binary_data_size": "8"}, {"binary_data_size": -8}, {"binary_data_size": 8}])
    return _infer(parameters=parameters)


@malformed(400)
def input_given_twice(rng: Random) -> HttpRequest:
    return _json({"inputs": [ITEM, ITEM]})


@malformed(400)
def inputs_of_different_lengths(rng: Random) -> HttpRequest:
    return _json({"inputs": [ITEM, {"name": "price", "shape": [2], "datatype": "FP32", "data": [1, 2]}]})


@malformed(400)
def no_column_of_the_model(rng: Random) -> HttpRequest:
    return _infer(name="".join(rng.choices("abc\n\0\u20ac", k=rng.choice([0, 3, 10_000]))))


@malformed(400)
def id_out_of_range(rng: Random) -> HttpRequest:
    return _infer(data=[rng.choice([-5, 40, 1 << 40, -(1 << 63)])])


@malformed(400)
def header_length_that_is_none(rng: Random) -> HttpRequest:
    length = rng.choice(["-1", "x", "1e3", "99999999", "1" * 4000, "", " 3", "\u00b2", "0", "3"])
    return HttpRequest(_valid_text(), headers={HEADER_LENGTH: length})


@malformed(400)
def binary_size_that_is_none(rng: Random) -> HttpRequest:
    return _binary([1], "INT64", bytes(8), size=rng.choice([0, 7, 9, -1, 1 << 40, 1 << 70]))


@malformed(400, 413)
def binary_shape_without_its_bytes(rng: Random) -> HttpRequest:
    shape = rng.choice([[(1 << 31) - 1], [(1 << 31) - 1, (1 << 31) - 1], [2], [0], [1, 0], [1 << 28]])
    return _binary(shape, rng.choice(["INT64", "BYTES", "FP16", "BOOL"]), rng.randbytes(rng.choice([0, 3, 12])))


@malformed(400)
def binary_string_with_a_huge_length(rng: Random) -> HttpRequest:
    return _binary([1], "BYTES", struct.pack("<I", rng.choice([5, 1 << 31, (1 << 32) - 1])) + b"abcd")


def _arrow(table: pa.Table, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _arrow_request(body: bytes) -> HttpRequest:
    return HttpRequest(body, headers={"Content-Type": ARROW})


def _arrow_rows(num_rows: int) -> pa.Table:
    return pa.table({"item": [1] * num_rows, "user": ["u1"] * num_rows})


@malformed(400)
def arrow_cut_off(rng: Random) -> HttpRequest:
    body = _arrow(_arrow_rows(3))
    return _arrow_request(body[: rng.randrange(len(body) - 8)])


@malformed(200, 400, 413)
def arrow_with_changed_bytes(rng: Random) -> HttpRequest:
    body = bytearray(_arrow(_arrow_rows(3), rng.choice([None, "lz4", "zstd"])))
    for _ in range(rng.randrange(1, 9)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return _arrow_request(bytes(body))


@malformed(413)
def arrow_with_compressed_zeros(rng: Random) -> HttpRequest:
    value = b"0" * (100 << 20)
    table = pa.table({"user": pa.array([value], pa.binary())})
    return _arrow_request(_arrow(table, rng.choice(["lz4", "zstd"])))


@malformed(400, 413)
def arrow_that_repeats_a_long_value(rng: Random) -> HttpRequest:
    value, num_rows = "x" * 100_000, 15_000
    kind = rng.choice(["dictionary", "view", "list_view", "run_end"])
    if kind == "dictionary":
        column = pa.DictionaryArray.from_arrays(pa.array([0] * num_rows, pa.int32()), pa.array([value]))
    elif kind == "view":
        view = struct.pack("<I4sII", len(value), value[:4].encode(), 0, 0)
        buffers = [None, pa.py_buffer(view * num_rows), pa.py_buffer(value.encode())]
        column = pa.Array.from_buffers(pa.string_view(), num_rows, buffers)
    elif kind == "list_view":
        offsets, sizes = pa.array([0] * num_rows, pa.int32()), pa.array([10_000] * num_rows, pa.int32())
        column = pa.ListViewArray.from_arrays(offsets, sizes, pa.array(range(10_000)))
    else:
        ends = pa.array([num_rows], pa.int32())
        column = pa.RunEndEncodedArray.from_arrays(ends, pa.array([value]))
    return _arrow_request(_arrow(pa.table({"user": column})))


@malformed(400, 413)
def arrow_of_nothing(rng: Random) -> HttpRequest:
    num_rows = rng.choice([0, 30_000_000])
    return _arrow_request(_arrow(pa.table({"item": pa.nulls(num_rows)})))


@malformed(400)
def arrow_of_wrong_types(rng: Random) -> HttpRequest:
    column = rng.choice(
        [
            pa.array([{"a": 1}]),
            pa.array([[[[1]]]]),
            pa.array([b"\xff\xfe"]),
            pa.array([1], pa.duration("s")),
            pa.array([1 << 40]),
            pa.array([-3]),
        ]
    )
    table = pa.table({"item": column})
    return _arrow_request(_arrow(pa.table([column, column], ["item", "item"]) if rng.random() < 0.3 else table))


@malformed(400)
def arrow_as_json_or_json_as_arrow(rng: Random) -> HttpRequest:
    if rng.random() < 0.5:
        return HttpRequest(_arrow(_arrow_rows(2)), headers={"Content-Type": "application/json"})
    return _arrow_request(_valid_text())


@malformed(400, 415)
def body_of_another_encoding(rng: Random) -> HttpRequest:
    return HttpRequest(rng.randbytes(100), headers={"Content-Encoding": rng.choice(["gzip", "deflate", "br", "x"])})


@malformed(413)
def compressed_spaces(rng: Random) -> HttpRequest:
    return HttpRequest(zlib.compress(b" " * (70 << 20), 1), headers={"Content-Encoding": "deflate"})


@malformed(400)
def compressed_body_cut_off(rng: Random) -> HttpRequest:
    body = zlib.compress(_valid_text())
    return HttpRequest(body[: rng.randrange(len(body))], headers={"Content-Encoding": "deflate"})


@malformed(400)
def rank_of_another_structure(rng: Random) -> HttpRequest:
    items = rng.choice([_junk(rng), [_junk(rng)], [{"item": 1}, 5], [], [{"item": 1}, {"item": "x"}]])
    while items == [{}] or (isinstance(items, list) and items and all(isinstance(row, dict) for row in items)):
        items = _junk(rng)
    return _json({"user": rng.choice([{"user": "u"}, {}, 5, [], "x"]), "items": items}, RANK)


@malformed(400)
def rank_with_unknown_part(rng: Random) -> HttpRequest:
    return _json({"user": {}, "items": [{"item": 1}], rng.choice(["users", "item", "", "\n"]): {}}, RANK)


@malformed(400, 413)
def rank_with_many_names(rng: Random) -> HttpRequest:
    items = [{"item": 99, "scores": {str(rng.random()): 1 for _ in range(300)}} for _ in range(200)]
    return _json({"user": {}, "items": items}, RANK)


@malformed(400, 413)
def too_many_rows(rng: Random) -> HttpRequest:
    if rng.random() < 0.5:
        return HttpRequest(b'{"user": {}, "items": [' + b",".join([b"{}"] * 300_000) + b"]}", RANK)
    return _binary([1_000_000], "INT8", bytes(1_000_000))


@malformed(404)
def unknown_path_or_model(rng: Random) -> HttpRequest:
    names = ["x", "../..", "%2e%2e", "%00", "a" * 3000, "small/versions/99", "small/versions/x", "small/versions/-1"]
    return HttpRequest(_valid_text(), f"/v2/models/{rng.choice(names)}/infer")


@malformed(404, 405)
def unknown_method_or_action(rng: Random) -> HttpRequest:
    if rng.random() < 0.5:
        return HttpRequest(b"", INFER, method=rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]))
    return HttpRequest(b"", f"/v2/repository/models/{MODEL}/{rng.choice(['reload', 'x', 'drop'])}")


def _message(**fields: Any) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(model_name=MODEL, **fields)


@malformed_call
def message_of_random_bytes(rng: Random) -> bytes:
    return b"\x0a\xff" + rng.randbytes(rng.randrange(1, 2000))


@malformed_call
def message_cut_off(rng: Random) -> bytes:
    data = _message(inputs=[{"name": "item", "datatype": "INT64", "shape": [1]}]).SerializeToString()
    return data[: rng.randrange(8, len(data) - 1)]


@malformed_call
def message_with_wrong_field(rng: Random) -> bytes:
    entry = {"name": "item", "datatype": "INT64", "shape": [1], "contents": {"int64_contents": [1]}}
    change = rng.choice(
        [
            {"name": ""},
            {"datatype": rng.choice(["", "int64", "FP16", "x"])},
            {"shape": rng.choice([[], [-1], [2], [1 << 31], [1 << 62, 1 << 62], [1, 1, 1], [(1 << 31) - 1, 0]])},
            {"contents": rng.choice([{}, {"fp32_contents": [1]}, {"bytes_contents": [b"\xff"]}])},
            {"contents": {"int64_contents": [99]}},
        ]
    )
    return _message(inputs=[entry | change]).SerializeToString()


@malformed_call
def message_with_wrong_raw_contents(rng: Random) -> bytes:
    entry = {"name": "item", "datatype": rng.choice(["INT64", "BYTES"]), "shape": rng.choice([[1], [1 << 30], [0]])}
    raw = rng.choice([[b""], [b"123"], [bytes(8)] * 2, [b"\xff" * 12]])
    return _message(inputs=[entry], raw_input_contents=raw).SerializeToString()


@malformed_call
def message_for_unknown_model(rng: Random) -> bytes:
    names = rng.choice([("x", ""), (MODEL, "99"), (MODEL, "-1"), ("", "")])
    return pb.ModelInferRequest(model_name=names[0], model_version=names[1]).SerializeToString()
