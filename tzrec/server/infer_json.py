"""Infer requests and responses over HTTP: JSON, with tensors in binary form behind it where a client asks for them.

A body with binary tensors begins with JSON of the length in the header Inference-Header-Content-Length; the bytes of
the tensors with a `binary_data_size` follow in their order.
"""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa

from tzrec.errors import first_line
from tzrec.server.errors import RequestError
from tzrec.server.infer import InferRequest, refuse_extensions
from tzrec.server.tensors import NamedTensor, check_shape, from_bytes, from_list, to_bytes

HEADER_LENGTH = "Inference-Header-Content-Length"


def read_json(body: bytes | memoryview) -> Any:
    """Parse JSON.

    Raises:
        RequestError: it is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {first_line(error)}") from None


def read_request(body: bytes, header_length: str | None) -> InferRequest:
    """Parse the body of an infer request.

    Args:
        body: JSON, and binary tensors behind it.
        header_length: value of HEADER_LENGTH, None without it.

    Raises:
        RequestError: it is not of the protocol; names the input and the field.
    """
    length = len(body) if header_length is None else _length(header_length, len(body))
    view = memoryview(body)
    value = read_json(view[:length])
    if not isinstance(value, dict) or not isinstance(value.get("inputs"), list):
        raise RequestError('the body has no list "inputs": give {"inputs": [{"name", "shape", "datatype", "data"}]}')
    inputs: list[NamedTensor] = []
    for entry in value["inputs"]:
        tensor, size = _read_input(entry, view[length:])
        inputs.append(tensor)
        length += size
    if length != len(body):
        raise RequestError(f"{len(body) - length} bytes of the body belong to no input; see binary_data_size")
    outputs = value.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(entry, dict) and _is_name(entry) for entry in outputs):
        raise RequestError('"outputs" is not a list of {"name": ...}')
    is_binary = _parameter(value, "binary_data_output", bool, False)
    by_name = {entry["name"]: _parameter(entry, "binary_data", bool, is_binary) for entry in outputs}
    for entry in outputs:
        refuse_extensions("output", entry["name"], _parameters(entry))
    return InferRequest(inputs, by_name, is_binary, str(value.get("id", "")))


def write_response(
    request: InferRequest, model: str, version: str, outputs: list[NamedTensor]
) -> tuple[bytes, dict[str, str]]:
    """Write the body and the headers of an infer response."""
    entries, parts = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if request.outputs.get(tensor.name, request.is_binary):
            parts.append(to_bytes(tensor))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = tensor.values.to_numpy(zero_copy_only=False)
        entries.append(entry)
    value = {"model_name": model, "model_version": version, "outputs": entries}
    text = orjson.dumps(value | ({"id": request.id} if request.id else {}), option=orjson.OPT_SERIALIZE_NUMPY)
    if not parts:
        return text, {"Content-Type": "application/json"}
    return b"".join([text, *parts]), {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))}


def rows_from_json(value: Any, field: str) -> pa.Table:
    """Convert a list of objects to a table: a column for each name, null where an object lacks it.

    Args:
        value: parsed JSON.
        field: of the request, for messages.

    Raises:
        RequestError: it is not such a list, or the values of a name are of different types.
    """
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise RequestError(f'"{field}" is not a list of objects such as {{"item_id": 7}}')
    names = dict.fromkeys(name for row in value for name in row)
    return pa.table({name: _json_column([row.get(name) for row in value], f"{field}.{name}") for name in names})


def _json_column(values: list[Any], field: str) -> pa.Array:
    try:
        kind = pa.infer_type(values)
        if pa.types.is_struct(kind):
            return _maps(values, field)
        if _has_struct(kind):
            raise RequestError(f'"{field}" has objects inside of others; give values, lists or objects of values')
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise RequestError(f'"{field}" has values of different types: {first_line(error)}') from None


def _maps(values: list[Any], field: str) -> pa.Array:
    """Convert objects to maps, which lookups read."""
    pairs = [None if value is None else list(value.items()) for value in values]
    kind = pa.infer_type([item for row in pairs for _, item in row or ()])
    if _has_struct(kind):
        raise RequestError(f'"{field}" has objects inside of others; give values, lists or objects of values')
    return pa.array(pairs, pa.map_(pa.string(), kind))


def _has_struct(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) or any(_has_struct(kind.field(index).type) for index in range(kind.num_fields))


def _length(text: str, limit: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) > limit:
        raise RequestError(f"{HEADER_LENGTH} is {text!r}, not a number of bytes up to {limit}")
    return int(text)


def _is_name(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("name"), str)


def _read_input(entry: Any, rest: memoryview) -> tuple[NamedTensor, int]:
    """Read an input, whose bytes if it has any are the next ones; returns it and their number."""
    if not isinstance(entry, dict) or not _is_name(entry):
        raise RequestError('an entry of "inputs" is not {"name", "shape", "datatype", "data"}')
    name = entry["name"]
    datatype, shape = check_shape(name, entry.get("datatype"), entry.get("shape"))
    size = _parameter(entry, "binary_data_size", int, None)
    refuse_extensions("input", name, _parameters(entry))
    if size is None:
        return from_list(name, datatype, shape, entry.get("data")), 0
    if not 0 <= size <= len(rest):
        raise RequestError(f'input "{name}": binary_data_size is {size}, but {len(rest)} bytes are left')
    return from_bytes(name, datatype, shape, rest[:size]), size


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RequestError(f'"parameters" is {parameters!r}, not an object')
    return parameters


def _parameter(entry: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = _parameters(entry).get(name, default)
    if value is not default and type(value) is not kind:
        raise RequestError(f'parameter "{name}" is {value!r}, not a {kind.__name__}')
    return value
