"""Bodies of requests and answers in the stream format of Arrow.

A short body may stand for a long table: buffers may be compressed, and dictionaries, views and runs repeat a value that
is written once. The size of what a body stands for is therefore computed before memory is taken for it. The sizes of
compressed buffers are in the metadata of a message, a flatbuffer of the schema `Message.fbs`, whose tables list the
places of their fields in a "vtable".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tzrec.errors import first_line
from tzrec.features.arrays import FloatArray
from tzrec.server.errors import TOO_LARGE, RequestError

ARROW = "application/vnd.apache.arrow.stream"
# numbers of fields in the tables Message, RecordBatch and DictionaryBatch
_HEADER_TYPE, _HEADER = 1, 2
_BUFFERS, _COMPRESSION = 2, 3
_DATA = 1
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_NOT_COMPRESSED = -1


def read_arrow(body: bytes, max_bytes: int) -> pa.Table:
    """Read a table.

    Args:
        body: of a request.
        max_bytes: that the table may take.

    Raises:
        RequestError: it is no such stream, or stands for more bytes.
    """
    try:
        _ensure_size(sum(_unpacked_bytes(message) for message in _messages(body)), max_bytes)
        table: pa.Table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise RequestError(f"the body is not a stream of Arrow: {first_line(error)}") from None
    _ensure_size(sum(decoded_bytes(chunk) for column in table.columns for chunk in column.chunks), max_bytes)
    return table


def write_arrow(table: pa.Table) -> bytes:
    """Write a table."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def decoded_bytes(array: pa.Array) -> float:
    """Number of bytes of the values of a column once each stands for itself; 0 where it is laid out so already."""
    return float(_value_sizes(array).sum()) if _has_repeats(array.type) else 0.0


def _ensure_size(num_bytes: float, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        text = f"the table of the body has {num_bytes:.0f} bytes, but {max_bytes} are allowed; send fewer rows"
        raise RequestError(text, TOO_LARGE)


def _messages(body: bytes) -> Iterator[pa.Message]:
    yield from pa.ipc.MessageReader.open_stream(body)


def _unpacked_bytes(message: pa.Message) -> int:
    """Sum of the sizes of the compressed buffers of a message once they are not."""
    metadata, content = message.metadata.to_pybytes(), message.body
    root = struct.unpack_from("<I", metadata)[0]
    kind = _field(metadata, root, _HEADER_TYPE)
    place = _field(metadata, root, _HEADER)
    if kind is None or place is None or content is None:
        return 0
    batch = _target(metadata, place)
    if metadata[kind] == _DICTIONARY_BATCH and (data := _field(metadata, batch, _DATA)):
        batch = _target(metadata, data)
    elif metadata[kind] != _RECORD_BATCH:
        return 0
    buffers = _field(metadata, batch, _BUFFERS)
    if buffers is None or _field(metadata, batch, _COMPRESSION) is None:
        return 0
    vector = _target(metadata, buffers)
    (count,) = struct.unpack_from("<I", metadata, vector)
    total = 0
    for offset, length in struct.iter_unpack("<qq", metadata[vector + 4 : vector + 4 + 16 * count]):
        if length:  # the size before compression, then the compressed bytes
            (size,) = struct.unpack_from("<q", content, offset)
            total += length if size == _NOT_COMPRESSED else size
    return total


def _field(data: bytes, table: int, number: int) -> int | None:
    """Position of a field of a table; None if the table does not have it."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, vtable)
    entry = 4 + 2 * number
    offset = struct.unpack_from("<H", data, vtable + entry)[0] if entry < size else 0
    return table + offset if offset else None


def _target(data: bytes, position: int) -> int:
    """Position that a field refers to."""
    return int(position + struct.unpack_from("<I", data, position)[0])


def _has_repeats(kind: pa.DataType) -> bool:
    """True if values of a type may be written once and stand for several."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind) or _is_view(kind):
        return True
    if isinstance(kind, pa.BaseExtensionType):
        return _has_repeats(kind.storage_type)
    return any(_has_repeats(kind.field(index).type) for index in range(kind.num_fields))


def _is_view(kind: pa.DataType) -> bool:
    types = pa.types
    is_text = types.is_string_view(kind) or types.is_binary_view(kind)
    return bool(is_text or types.is_list_view(kind) or types.is_large_list_view(kind))


def _value_sizes(array: pa.Array) -> FloatArray:
    """Bytes of each value of a column once it stands for itself, `(B,)`; numbers that do not fit integers included."""
    kind, types = array.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _value_sizes(array.storage)
    if types.is_dictionary(kind):
        sizes = np.append(_value_sizes(array.dictionary), 0.0)
        return sizes[array.indices.fill_null(len(sizes) - 1).to_numpy(zero_copy_only=False)]
    if types.is_run_end_encoded(kind):
        ends = array.run_ends.to_numpy()
        runs = np.searchsorted(ends, np.arange(array.offset, array.offset + len(array)), side="right")
        return _value_sizes(array.values)[runs]
    if types.is_string_view(kind) or types.is_binary_view(kind):
        lengths = np.frombuffer(array.buffers()[1], "<i4")[::4][array.offset :][
            : len(array)
        ]  # the views begin with them
        return np.where(array.is_null().to_numpy(zero_copy_only=False), 0.0, lengths)
    if any(
        is_text(kind) for is_text in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    ):
        return _numbers(pc.binary_length(array))
    if types.is_struct(kind):
        return sum((_value_sizes(array.field(index)) for index in range(kind.num_fields)), np.zeros(len(array)))
    if kind.num_fields:
        return _list_sizes(array)
    return np.full(len(array), 0.0 if types.is_null(kind) else kind.bit_width / 8)


def _list_sizes(array: Any) -> FloatArray:
    """Sizes of lists of any layout and of maps."""
    kind, types = array.type, pa.types
    values = (
        _value_sizes(array.values) if not types.is_map(kind) else _value_sizes(array.keys) + _value_sizes(array.items)
    )
    ends = np.concatenate([[0.0], np.cumsum(values)])
    if types.is_fixed_size_list(kind):
        starts = (array.offset + np.arange(len(array))) * kind.list_size
        return ends[starts + kind.list_size] - ends[starts]
    if _is_view(kind):
        starts, lengths = array.offsets.to_numpy(), _numbers(array.sizes).astype(np.int64)
        return ends[starts + lengths] - ends[starts]
    offsets = array.offsets.to_numpy()
    return ends[offsets[1:]] - ends[offsets[:-1]]


def _numbers(array: pa.Array) -> FloatArray:
    numbers: FloatArray = array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers
