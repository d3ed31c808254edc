"""GrpcTransport: requests over gRPC, columns as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.client.errors import ServerError
from tzrec.client.transport import NO_ANSWER, TOO_MANY, UNAVAILABLE, Target, TlsFiles, Values
from tzrec.errors import DataError, UsageError
from tzrec.protos.serving import inference_pb2 as pb

_SERVICE = "/inference.GRPCInferenceService/"
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TOO_MANY,
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: NO_ANSWER,
}
"""HTTP status by that of gRPC; 500 for others."""
_FAILED = 500
_DATATYPES: dict[pa.DataType, str] = {
    pa.bool_(): "BOOL",
    pa.float16(): "FP16",
    pa.float32(): "FP32",
    pa.float64(): "FP64",
    **{
        pa.type_for_alias(f"{sign}int{bits}"): f"{sign.upper()}INT{bits}"
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


class GrpcTransport:
    """Requests over gRPC. Threads share the connection.

    A tensor has as many values in each row, and no missing ones: a number that is missing makes its column one of text,
    which the server reads alike, and lists of different lengths are refused.

    Args:
        host: `host:port`.
        is_secure: with TLS.
        token: of a server that asks for a bearer token; empty for none.
        files: for TLS.
    """

    def __init__(self, host: str, is_secure: bool, token: str, files: TlsFiles) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        if is_secure:
            certificate, key = files.cert_files or (None, None)
            contents = [Path(path).read_bytes() if path else None for path in (files.ca_file, key, certificate)]
            self._channel = grpc.secure_channel(host, grpc.ssl_channel_credentials(*contents), options)
        else:
            self._channel = grpc.insecure_channel(host, options)
        self._host, self._headers = host, [("authorization", f"Bearer {token}")] if token else []
        self._methods = {
            name: self._method(name, answer)
            for name, answer in (
                ("RepositoryIndex", pb.RepositoryIndexResponse),
                ("ModelMetadata", pb.ModelMetadataResponse),
                ("ModelInfer", pb.ModelInferResponse),
            )
        }

    def models(self, timeout_s: float) -> list[str]:
        index = self._send("RepositoryIndex", pb.RepositoryIndexRequest(ready=True), timeout_s)
        return list(dict.fromkeys(entry.name for entry in index.models))

    def metadata(self, target: Target, timeout_s: float) -> dict[str, Any]:
        request = pb.ModelMetadataRequest(name=target.model, version=target.version)
        answer = self._send("ModelMetadata", request, timeout_s)
        described = {
            kind: [{"name": entry.name, "datatype": entry.datatype, "shape": list(entry.shape)} for entry in entries]
            for kind, entries in (("inputs", answer.inputs), ("outputs", answer.outputs))
        }
        return {"name": answer.name, "versions": list(answer.versions), "platform": answer.platform, **described}

    def predict(self, target: Target, rows: pa.Table, timeout_s: float) -> pa.Table:
        request = pb.ModelInferRequest(model_name=target.model, model_version=target.version)
        for name in rows.column_names:
            _add_input(request, name, rows.column(name).combine_chunks())
        answer = self._send("ModelInfer", request, timeout_s)
        columns = {
            output.name: _output(output, content)
            for output, content in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }
        return pa.table({name: columns[name] for name in sorted(columns)})

    def rank(self, target: Target, user: Values, items: Sequence[Values], timeout_s: float) -> pa.Table:
        repeated = [{**user, **item} for item in items]
        names = dict.fromkeys(name for row in repeated for name in row)
        return self.predict(target, pa.table({name: _column(name, repeated) for name in names}), timeout_s)

    def retrieve(self, target: Target, users: pa.Table, k: int, timeout_s: float) -> pa.Table:
        raise UsageError("gRPC has no request for items; use the http:// address of the server")

    def close(self) -> None:
        self._channel.close()

    def _method(self, name: str, answer: Any) -> Callable[..., Any]:
        return self._channel.unary_unary(
            f"{_SERVICE}{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

    def _send(self, name: str, message: Any, timeout_s: float) -> Any:
        try:
            return self._methods[name](message, timeout=timeout_s, metadata=self._headers)
        except grpc.RpcError as error:
            code = error.code()
            text = f"grpc://{self._host}: {code.name}: {error.details()}"
            raise ServerError(text, _STATUSES.get(code, _FAILED)) from None


def _column(name: str, rows: list[dict[str, Any]]) -> pa.Array:
    try:
        return pa.array([row.get(name) for row in rows])
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(f'column "{name}" has values of different types: {error}') from None


def _add_input(request: pb.ModelInferRequest, name: str, column: pa.Array) -> None:
    """Add a column as a tensor `(B,)`, or lists of C values as `(B, C)`."""
    shape, values = [len(column)], column
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        lengths = pc.list_value_length(column).unique().to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise DataError(
                f'column "{name}" has lists of different lengths, which a tensor lacks; use the http:// address'
            )
        shape, values = [len(column), lengths[0]], pc.list_flatten(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if values.type not in _DATATYPES or values.null_count:
        values = _text(name, values)
        parts = (len(text).to_bytes(4, "little") + text for text in values.cast(pa.binary()).to_pylist())
        datatype, content = "BYTES", b"".join(parts)
    else:
        datatype, content = (
            _DATATYPES[values.type],
            np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).tobytes(),
        )
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    request.raw_input_contents.append(content)


def _text(name: str, values: pa.Array) -> pa.Array:
    """Convert values to text; empty where one is missing."""
    if pa.types.is_nested(values.type):
        raise DataError(f'column "{name}" is {values.type}, which a tensor lacks; use the http:// address')
    return values.cast(pa.string()).fill_null("")


def _output(output: Any, content: bytes) -> pa.Array:
    """Convert an output `(B, ...)` to a column."""
    datatype = next(kind for kind, name in _DATATYPES.items() if name == output.datatype)
    column = pa.array(np.frombuffer(content, datatype.to_pandas_dtype()))
    for axis in range(len(output.shape) - 1, 0, -1):
        num_lists, width = int(np.prod(output.shape[:axis])), output.shape[axis]
        column = pa.ListArray.from_arrays(pa.array(np.arange(num_lists + 1, dtype=np.int32) * width), column)
    return column
